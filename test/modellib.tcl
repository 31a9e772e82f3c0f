# modellib.tcl: random transactions on topics, against twin tables.
#
#   model_run SEED CONFIG STEPS     "ok", or an error that shows how to replay
#
# Every topic has a twin, an ordinary table in the same database, which the
# same transactions write.  Whatever SQLite's ROLLBACK, ROLLBACK TO, a failed
# statement or another connection's snapshot does to the twin must have been
# done to the topic.  What the model must know besides, the topics there are
# and each partition's next offset, is rows of the same database as well
# (m_topic, m_next), so that it needs no undo of its own.
#
# CONFIG is a dictionary:
#
#   file      test.db, :memory: or "" (a temporary file)
#   journal   wal delete truncate persist
#   page      512 ... 65536
#   encoding  UTF-8 UTF-16le UTF-16be
#   attach    1: a second database with a store of its own, aux1
#   limits    small: those of tester.tcl; tiny: smaller still; default
#   flush     commit, os or both (switched now and then)
#
# Connections: db and db3 write, db2 reads.  A run is a function of SEED,
# CONFIG and STEPS alone, but for timestamps the library takes from the clock.

array set M {}

# -------------------------------------------------------------------------
# Chance
proc m_rnd {n} { expr {int(rand()*$n)} }
proc m_pick {list} { lindex $list [m_rnd [llength $list]] }
proc m_often {percent} { expr {rand()*100 < $percent} }

# One of the words of {WORD WEIGHT ...}.
proc m_weighted {list} {
  set sum 0
  foreach {word w} $list { incr sum $w }
  set x [m_rnd $sum]
  foreach {word w} $list {
    if {[incr x -$w] < 0} { return $word }
  }
}

proc m_size {} {
  switch [m_weighted {tiny 30 small 50 middle 15 large 4 huge 1}] {
    tiny   { return [m_rnd 4] }
    small  { return [m_rnd 120] }
    middle { return [m_rnd 1500] }
    large  { return [m_rnd 9000] }
    huge   { return [expr {60000+[m_rnd 12000]}] }
  }
}

proc m_text {n} {
  set z ""
  while {[string length $z] < $n} {
    append z [m_pick {alpha "beta gamma" {"json":[1,2]} 'quoted' 0123456789 \n \u00e9t\u00e9
                      \u4e2d\u6587 \U1f30a x { } "\t" percent% under_score}]
  }
  return [string range $z 0 [expr {$n-1}]]
}

# {LITERAL STORED}: SQL of a key or value, and of what a topic gives back.
proc m_literal {n} {
  switch [m_weighted {text 60 blob 14 ascii 8 nul 3 null 8 empty 3 emptyblob 2 int 4 real 2}] {
    text {
      set z '[string map {' ''} [m_text $n]]'
      return [list $z $z]
    }
    blob {
      set z ""
      for {set i 0} {$i < $n} {incr i} { append z [format %02x [m_rnd 256]] }
      return [list x'ff$z' x'ff$z']
    }
    ascii {
      set z [string repeat abcd [expr {$n/4+1}]]
      return [list x'[binary encode hex $z]' '$z']
    }
    nul { return {char(97,0,98) x'610062'} }
    null { return {NULL NULL} }
    empty { return {'' ''} }
    emptyblob { return {x'' ''} }
    int {
      set i [expr {[m_rnd 2000000]-1000000}]
      return [list $i '$i']
    }
    real { return {2.5 '2.5'} }
  }
}

proc m_key {} {
  if {[m_often 70]} {
    set z '[m_pick {alice bob carol dave k1 k2 k3 k4 k5 k6 k7 k8}]'
    return [list $z $z]
  }
  return [m_literal [m_rnd 12]]
}

proc m_headers {} {
  if {[m_often 80]} { return NULL }
  set h {}
  for {set i [m_rnd 4]} {$i >= 0} {incr i -1} {
    lappend h [m_pick {{["trace","abc"]} {["bin",{"base64":"AAH/"}]} {["none",null]} {["empty",""]}
                       {["trace","again"]} {["n\u00e4me","\u00e9"]}}]
  }
  return '\[[subst -nocommands -novariables [join $h ,]]\]'
}

proc m_time {} {
  switch [m_weighted {now 10 rise 70 jump 15 odd 5}] {
    now  { return NULL }
    rise { return [incr ::M(time) [m_rnd 20]] }
    jump { return [expr {$::M(time) + [m_rnd 100000] - 50000}] }
    odd  { return [m_pick {0 1 -1 -5000 9000000000000}] }
  }
}

# -------------------------------------------------------------------------
# Statements

# Run SQL on the writer and remember it for the report of a failure.
proc m_exec {sql} {
  global M
  set z $sql
  if {[string length $z] > 300} { set z "[string range $z 0 300]... ([string length $sql] characters)" }
  lappend M(trace) "$M(step) $M(w): $z"
  if {[llength $M(trace)] > 60} { set M(trace) [lrange $M(trace) end-39 end] }
  uplevel #0 [list $M(w) eval $sql]
}

# Run SQL that must fail with a message like PATTERN.
proc m_fails {sql pattern} {
  if {![catch {m_exec $sql} msg]} { error "should have failed ($pattern): $sql" }
  if {![string match $pattern $msg]} { error "failed with \"$msg\", not $pattern: $sql" }
}

# The topics the writer sees: a list of {schema id name parts}.
proc m_topics {{db ""}} {
  global M
  if {$db eq ""} { set db $M(w) }
  set list {}
  foreach s $M(schemas) {
    $db eval "SELECT id, name, parts FROM $s.m_topic ORDER BY id" { lappend list [list $s $id $name $parts] }
  }
  return $list
}

proc m_next {t part} {
  lassign $t s id
  $::M(w) onecolumn "SELECT next FROM $s.m_next WHERE id=$id AND part=$part"
}

# -------------------------------------------------------------------------
# Steps.  Each gets a topic {schema id name parts}.

# One record, in a partition of our choice or the library's.
proc m_insert {t} {
  lassign $t s id name parts
  lassign [m_key] key okey
  lassign [m_literal [m_size]] val oval
  set hdr [m_headers]
  set ts [m_time]
  set cols timestamp,key,value,headers
  set vals $ts,$key,$val,$hdr
  set want ""
  if {[m_often 60]} {
    set want [m_rnd $parts]
    append cols ,partition
    append vals ,$want
    if {[m_often 20]} {
      append cols ,offset
      append vals ,[m_next $t $want]
    }
  }
  m_exec "INSERT INTO $s.${name}($cols) VALUES($vals)"
  lassign [$::M(w) eval {SELECT prill_partition(), prill_offset(), last_insert_rowid()}] p o r
  if {$want ne "" && $p != $want} { error "record asked for partition $want went to $p" }
  if {![string is integer -strict $p] || $p < 0 || $p >= $parts} { error "partition $p of $parts" }
  if {$o != [m_next $t $p]} { error "$name/$p: offset $o, should be [m_next $t $p]" }
  if {$r != ($p<<48 | $o)} { error "rowid $r is not partition $p, offset $o" }
  if {$ts eq "NULL"} {
    set ts [$::M(w) onecolumn "SELECT timestamp FROM $s.$name WHERE partition=$p AND offset=$o"]
    if {abs($ts - [clock milliseconds]) > 60000} { error "timestamp $ts is not now" }
  }
  m_exec "INSERT INTO $s.tw_$id VALUES($p,$o,$ts,$okey,$oval,$hdr);
          UPDATE $s.m_next SET next=next+1 WHERE id=$id AND part=$p"
}

# The twin's side of "INSERT INTO topic SELECT ... FROM SRC": each row's
# partition is the expression PART; ORDER gives the order of the rows.
proc m_twin_select {t part src order} {
  lassign $t s id
  m_exec "
    INSERT INTO $s.tw_$id SELECT n.part, n.next-1+x.i, x.ts, x.k, x.v, x.h FROM $s.m_next n, (
      SELECT p, row_number() OVER (PARTITION BY p ORDER BY o) AS i, ts, k, v, h FROM (
        SELECT $part AS p, $order AS o, ts, k, v, h FROM ($src))) x
    WHERE n.id=$id AND n.part=x.p;
    UPDATE $s.m_next SET next = 1+max(next-1, (SELECT coalesce(max(offset),-1) FROM $s.tw_$id
      WHERE partition=part)) WHERE id=$id"
}

# Many records in one statement.  nCopy: the source rows several times over.
proc m_insert_many {t {nCopy 1}} {
  lassign $t s id name parts
  set a [m_rnd 150]
  set b [expr {$a+[m_rnd 40]}]
  set p [expr {[m_often 50] ? [m_rnd $parts] : "o%$parts"}]
  set src "SELECT i+1000*c AS o, ts, key, value, h, k, v FROM $s.m_src,
      (WITH RECURSIVE n(c) AS (VALUES(0) UNION ALL SELECT c+1 FROM n WHERE c<$nCopy-1) SELECT c FROM n)
      WHERE i BETWEEN $a AND $b"
  m_exec "INSERT INTO $s.${name}(partition,timestamp,key,value,headers)
      SELECT $p, ts, key, value, h FROM ($src) ORDER BY o"
  m_twin_select $t $p $src o
}

# A transaction's worth that crosses the limits of stage, write and ring.
proc m_insert_big {t} { m_insert_many $t [expr {2+[m_rnd 6]}] }

# From the topic into itself: the cursor must not see what it inserts.
proc m_insert_self {t} {
  lassign $t s id name parts
  set p [m_rnd $parts]
  set q [m_rnd $parts]
  set n [expr {1+[m_rnd 30]}]
  set dir [m_pick {"" DESC}]
  m_exec "INSERT INTO $s.${name}(partition,timestamp,key,value,headers) SELECT $q, timestamp, key, value, headers
      FROM $s.$name WHERE partition=$p ORDER BY offset $dir LIMIT $n"
  set o [expr {$dir eq "" ? "offset" : "-offset"}]
  m_twin_select $t $q "SELECT offset, timestamp AS ts, key AS k, value AS v, headers AS h
      FROM $s.tw_$id WHERE partition=$p ORDER BY $o LIMIT $n" $o
}

# A statement that fails at its last row: what it did must be undone.
proc m_fail_partition {t} {
  lassign $t s id name parts
  set n [expr {1+[m_rnd 60]}]
  m_fails "INSERT INTO $s.${name}(partition,key,value) SELECT iif(i=$n,$parts,i%$parts), key, value
      FROM $s.m_src WHERE i<=$n ORDER BY i" *partition*
}
proc m_fail_offset {t} {
  lassign $t s id name parts
  set p [m_rnd $parts]
  m_fails "INSERT INTO $s.${name}(partition,offset,key) VALUES($p,[expr {[m_next $t $p]+1+[m_rnd 5]}],'x')" *offset*
}
proc m_fail_headers {t} {
  lassign $t s id name parts
  m_fails "INSERT INTO $s.${name}(partition,value,headers) SELECT 0, value, iif(i=9,'\[1',NULL)
      FROM $s.m_src WHERE i<10 ORDER BY i" *header*
}
proc m_fail_update {t} {
  lassign $t s id name parts
  if {[$::M(w) onecolumn "SELECT count(*) FROM $s.tw_$id"] == 0} return
  m_fails "[m_pick [list "UPDATE $s.$name SET value='x'" "DELETE FROM $s.$name"]] WHERE partition>=0" *
}

# A trigger on an ordinary table inserts; half the time the third row is
# refused by a CHECK after two have been inserted.
proc m_trigger {t} {
  lassign $t s id name parts
  set p [m_rnd $parts]
  set bFail [m_often 50]
  m_exec "CREATE TEMP TRIGGER m_trig AFTER INSERT ON $s.m_plain BEGIN
      INSERT INTO ${name}(partition,timestamp,key,value) VALUES($p,7,'trig',new.x);
    END"
  set sql "INSERT INTO $s.m_plain VALUES('one'),('two'),([expr {$bFail ? "'no'" : "'three'"}])"
  if {$bFail} {
    m_fails $sql *CHECK*
  } else {
    m_exec $sql
    m_twin_select $t $p "SELECT column1 AS o, 7 AS ts, 'trig' AS k, column2 AS v, NULL AS h
        FROM (VALUES(1,'one'),(2,'two'),(3,'three'))" o
  }
  m_exec "DROP TRIGGER temp.m_trig"
}

# Older records go.
proc m_trim {t} {
  lassign $t s id name parts
  set p [m_rnd $parts]
  lassign [$::M(w) eval "SELECT start, next FROM $s.m_next WHERE id=$id AND part=$p"] start next
  if {$start >= $next} return
  set to [expr {$start+[m_rnd [expr {min(200,$next-$start+1)}]]}]
  if {[catch {
    m_exec "UPDATE prill_partitions SET log_start_offset=$to
        WHERE schema='$s' AND topic='$name' AND partition=$p"
  } msg opts]} {
    # Only what is committed can be trimmed.
    if {$::M(stack) ne "" && [string match "*out of range*" $msg]} return
    return -options $opts $msg
  }
  m_exec "DELETE FROM $s.tw_$id WHERE partition=$p AND offset<$to;
      UPDATE $s.m_next SET start=$to WHERE id=$id AND part=$p"
}

proc m_create {} {
  global M
  set s [m_pick $M(schemas)]
  set name t[incr M(names)]
  set parts [m_pick {1 1 2 3 7}]
  set opts [list partitions=$parts retention_ms=-1]
  lappend opts compression_type=[m_pick $M(codecs)] segment_bytes=[m_pick {1024 4096 30000 1000000}]
  lappend opts batch_size=[m_pick {200 1000 16384}]
  if {[m_often 30]} { lappend opts partitioner=[m_pick {crc32 round_robin}] }
  m_exec "CREATE VIRTUAL TABLE $s.$name USING topic([join $opts {, }]);
      INSERT INTO $s.m_topic(name,parts) VALUES('$name',$parts)"
  set id [$M(w) onecolumn "SELECT max(id) FROM $s.m_topic"]
  m_exec "CREATE TABLE $s.tw_${id}(partition INT, offset INT, timestamp INT, key, value, headers,
      PRIMARY KEY(partition,offset))"
  for {set i 0} {$i < $parts} {incr i} { m_exec "INSERT INTO $s.m_next VALUES($id,$i,0,0)" }
}

proc m_drop {t} {
  lassign $t s id name
  m_exec "DROP TABLE $s.$name"
  m_exec "DROP TABLE $s.tw_$id;
      DELETE FROM $s.m_topic WHERE id=$id; DELETE FROM $s.m_next WHERE id=$id"
}

proc m_rename {t} {
  lassign $t s id name
  set new r[incr ::M(names)]
  m_exec "ALTER TABLE $s.$name RENAME TO $new; UPDATE $s.m_topic SET name='$new' WHERE id=$id"
}

proc m_grow {t} {
  lassign $t s id name parts
  if {$parts >= 12} return
  set n [expr {$parts+1+[m_rnd 2]}]
  m_exec "UPDATE prill_topics SET partitions=$n WHERE schema='$s' AND name='$name';
      UPDATE $s.m_topic SET parts=$n WHERE id=$id"
  for {set i $parts} {$i < $n} {incr i} { m_exec "INSERT INTO $s.m_next VALUES($id,$i,0,0)" }
}

proc m_flush {} {
  global M
  if {$M(flush) eq "both"} {
    m_exec "UPDATE prill_config SET value='[m_pick {os commit}]'
        WHERE schema='[m_pick $M(schemas)]' AND scope='store' AND name='flush'"
  }
}

# -------------------------------------------------------------------------
# Comparisons

# The whole of every topic, on any connection, in one snapshot.
proc m_same {db t} {
  lassign $t s id name
  set cols "partition, offset, timestamp, typeof(key), key, typeof(value), value, headers"
  set a [$db eval "SELECT $cols FROM $s.$name ORDER BY partition, offset"]
  set b [$db eval "SELECT $cols FROM $s.tw_$id ORDER BY partition, offset"]
  if {$a eq $b} return
  if {[llength $a] != [llength $b]} {
    set why "[expr {[llength $a]/8}] records, twin [expr {[llength $b]/8}]"
  }
  foreach {p1 o1 ts1 kt1 k1 vt1 v1 h1} $a {p2 o2 ts2 kt2 k2 vt2 v2 h2} $b {
    if {$p1 ne $p2 || $o1 ne $o2 || $ts1 ne $ts2 || $kt1 ne $kt2 || $k1 ne $k2 || $vt1 ne $vt2
        || $v1 ne $v2 || $h1 ne $h2} {
      append why "; first different: [string range [list $p1 $o1 $ts1 $kt1 $k1 $vt1 $v1 $h1] 0 200], twin\
          [string range [list $p2 $o2 $ts2 $kt2 $k2 $vt2 $v2 $h2] 0 200]"
      break
    }
  }
  error "$db: $s.$name differs from its twin: $why"
}

# One query on both.  "X" stands for the table.
proc m_query {db t sql {twinsql ""}} {
  lassign $t s id name
  if {$twinsql eq ""} { set twinsql $sql }
  set a [$db eval [string map [list X $s.$name] $sql]]
  set b [$db eval [string map [list X $s.tw_$id] $twinsql]]
  if {$a ne $b} {
    error "$db: $s.$name: $sql: [string range $a 0 300] (twin: [string range $b 0 300])"
  }
}

# A few of the queries a topic answers its own way.
proc m_probe {db t} {
  lassign $t s id name parts
  set p [m_rnd $parts]
  lassign [$db eval "SELECT start, next FROM $s.m_next WHERE id=$id AND part=$p"] start next
  set a [expr {$start + [m_rnd [expr {$next-$start+3}]]}]
  set b [expr {$a + [m_rnd 30]}]
  set n [expr {1+[m_rnd 9]}]
  set ts [expr {$::M(time) - [m_rnd 3000]}]
  m_query $db $t "SELECT count(*) FROM X"
  for {set i 0} {$i < 3} {incr i} {
    switch [m_rnd 16] {
      0 { m_query $db $t "SELECT partition, count(*), min(offset), max(offset) FROM X GROUP BY partition ORDER BY 1" }
      1 { m_query $db $t "SELECT max(offset) FROM X WHERE partition=$p" }
      2 { m_query $db $t "SELECT min(offset) FROM X WHERE partition=$p" }
      3 { m_query $db $t "SELECT offset, value FROM X WHERE partition=$p AND offset=$a" }
      4 { m_query $db $t "SELECT offset, key, value FROM X WHERE partition=$p AND offset BETWEEN $a AND $b ORDER BY offset" }
      5 { m_query $db $t "SELECT offset, key FROM X WHERE partition=$p AND offset<$b ORDER BY offset DESC LIMIT $n" }
      6 { m_query $db $t "SELECT offset, value FROM X WHERE partition=$p ORDER BY offset DESC LIMIT $n OFFSET [m_rnd 20]" }
      7 { m_query $db $t "SELECT partition, offset FROM X WHERE partition IN ($p,0,99) AND offset>=$a ORDER BY 1,2 LIMIT 50" }
      8 { m_query $db $t "SELECT offset, timestamp FROM X WHERE partition=$p AND timestamp>=$ts ORDER BY offset LIMIT $n" }
      9 { m_query $db $t "SELECT partition, offset FROM X WHERE timestamp BETWEEN $ts AND $ts+500 ORDER BY 1,2" }
      10 { m_query $db $t "SELECT partition, offset, value FROM X WHERE key='[m_pick {alice k1 k5 nobody}]' ORDER BY 1,2" }
      11 { m_query $db $t "SELECT value FROM X WHERE rowid=$p<<48|$a" \
                          "SELECT value FROM X WHERE partition=$p AND offset=$a" }
      12 { m_query $db $t "SELECT sum(offset), sum(length(key)), sum(timestamp) FROM X WHERE offset>$a" }
      13 { m_query $db $t "SELECT count(*) FROM X WHERE partition=$p AND offset>=$a" }
      14 { m_query $db $t "SELECT partition, offset FROM X WHERE timestamp<$ts AND partition>=$p ORDER BY 1,2 LIMIT 40" }
      15 { m_query $db $t "SELECT a.offset FROM X a JOIN X b ON b.partition=a.partition AND b.offset=a.offset+1
             WHERE a.partition=$p AND a.offset BETWEEN $a AND $b ORDER BY 1" }
    }
  }
}

# What the admin tables say of a topic's ends.
proc m_ends {db t} {
  lassign $t s id name
  set a [$db eval "SELECT partition, log_start_offset, log_end_offset FROM prill_partitions
      WHERE schema='$s' AND topic='$name' ORDER BY partition"]
  set b [$db eval "SELECT part, start, next FROM $s.m_next WHERE id=$id ORDER BY part"]
  if {$a ne $b} { error "$db: prill_partitions of $name: $a; should be $b" }
}

proc m_check {db percent} {
  foreach t [m_topics $db] {
    m_probe $db $t
    if {[m_often $percent]} { m_same $db $t }
  }
}

# The reader: one snapshot, sometimes kept for many steps.
proc m_check_reader {percent} {
  global M
  if {!$M(reader)} return
  if {[catch {
    if {!$M(held)} { db2 eval BEGIN }
    m_check db2 $percent
    if {$M(held) ? [m_often 25] : [m_often 95]} {
      db2 eval COMMIT
      set M(held) 0
    } else {
      set M(held) 1
    }
  } msg opts]} {
    # Without a WAL a writer that had to spill its cache keeps readers out.
    if {$msg ne "database is locked" || $M(journal) eq "wal"} { return -options $opts $msg }
    catch {db2 eval ROLLBACK}
    set M(held) 0
  }
}

# End the reader's snapshot.
proc m_let_go {} {
  if {$::M(held)} { db2 eval COMMIT }
  set ::M(held) 0
}

# -------------------------------------------------------------------------
# Connections

proc m_pragmas {db} {
  $db eval "PRAGMA synchronous=[m_pick {OFF NORMAL FULL EXTRA}]"
  # No busy timeout: the connections are one thread's, waiting is in vain.  (In
  # a rollback journal's mode each page a full cache wants to spill waited, once
  # a reader was in the way.)
}

proc m_connect {} {
  global M
  foreach db [expr {$M(reader) ? {db db2 db3} : {db}}] {
    sqlite3 $db $M(file)
    if {$M(new)} {
      $db eval "PRAGMA encoding='$M(encoding)'; PRAGMA page_size=$M(page); PRAGMA journal_mode=$M(journal)"
    }
    if {$M(attach)} { $db eval {ATTACH 'aux.db' AS aux1} }
    if {$M(new) && $M(attach)} {
      $db eval "PRAGMA aux1.page_size=$M(page); PRAGMA aux1.journal_mode=$M(journal)"
    }
    set M(new) 0
    m_pragmas $db
  }
  set M(held) 0
  set M(w) db
}

proc m_disconnect {} {
  foreach db {db db2 db3} { catch {$db close} }
}

proc m_begin_run {} {
  global M
  db_close_all
  m_disconnect
  forcedelete {*}[db_files test.db] {*}[db_files aux.db]
  set M(new) 1
  m_connect
  foreach s $M(schemas) {
    db eval "CREATE TABLE $s.m_topic(id INTEGER PRIMARY KEY AUTOINCREMENT, name, parts INT);
        CREATE TABLE $s.m_next(id INT, part INT, next INT, start INT, PRIMARY KEY(id,part));
        CREATE TABLE $s.m_plain(x CHECK(x<>'no'));
        CREATE TABLE $s.m_src(i INTEGER PRIMARY KEY, ts INT, key, value, h, k, v);"
    db eval BEGIN
    for {set i 0} {$i < 200} {incr i} {
      lassign [m_key] key k
      lassign [m_literal [expr {[m_size]%5000}]] value v
      db eval "INSERT INTO $s.m_src VALUES($i,[expr {$M(time)+$i}],$key,$value,[m_headers],$k,$v)"
    }
    db eval COMMIT
  }
}

# -------------------------------------------------------------------------
# The run

proc m_commit {} {
  global M
  if {$M(journal) ne "wal" && $M(reader) && !$M(held) && [m_often 15]} {
    # A reader is in the way: COMMIT fails after xSync, and the transaction
    # lives on.
    db2 eval BEGIN
    if {![catch {db2 eval {SELECT count(*) FROM main.m_topic}}]} {
      set rc [catch {m_exec COMMIT} msg]
      if {$rc && $msg ne "database is locked"} { error "COMMIT: $msg" }
      db2 eval COMMIT
      if {!$rc} return
      # What follows is as in any open transaction.
      m_check $M(w) 100
      if {[m_often 50]} {
        set t [m_pick [m_topics]]
        if {$t ne ""} { m_insert $t }
      }
    } else {
      db2 eval COMMIT
    }
  }
  if {$M(journal) ne "wal"} m_let_go
  m_exec COMMIT
}

# What can be done between transactions.
proc m_between {} {
  global M
  if {$M(journal) ne "wal"} m_let_go
  switch [m_weighted {checkpoint 20 maintain 20 flush 10 sync 10 reopen 10 writer 25 vacuum 1 journal 4}] {
    checkpoint { catch {m_exec "PRAGMA wal_checkpoint([m_pick {PASSIVE FULL RESTART TRUNCATE}])"} }
    maintain   { m_exec "SELECT prill_maintain()" }
    flush      { m_flush }
    sync       { m_exec "PRAGMA synchronous=[m_pick {OFF NORMAL FULL EXTRA}]" }
    reopen {
      if {$M(file) eq "test.db"} {
        m_disconnect
        m_connect
      }
    }
    writer {
      if {$M(reader)} { set M(w) [m_pick {db db3}] }
    }
    vacuum {
      if {!$M(held)} { m_exec VACUUM }
    }
    journal {
      if {$M(file) eq "test.db" && $M(switch)} {
        m_disconnect
        set M(journal) [m_pick {wal delete persist}]
        sqlite3 db test.db
        db eval "PRAGMA journal_mode=$M(journal)"
        if {$M(attach)} { db eval "ATTACH 'aux.db' AS aux1; PRAGMA aux1.journal_mode=$M(journal)" }
        db close
        m_connect
      }
    }
  }
}

proc m_ddl {} {
  global M
  set topics [m_topics]
  set n [llength $topics]
  switch [m_weighted [list create [expr {$n < 5 ? 30 : 0}] drop [expr {$n > 2 ? 15 : 0}] \
                           rename [expr {$n ? 10 : 0}] grow [expr {$n ? 20 : 0}]]] {
    create { m_create }
    drop   { m_drop [m_pick $topics] }
    rename { m_rename [m_pick $topics] }
    grow   { m_grow [m_pick $topics] }
  }
}

proc m_write {} {
  set topics [m_topics]
  if {$topics eq ""} {
    m_create
    return
  }
  set t [m_pick $topics]
  switch [m_weighted {insert 50 many 18 big 4 self 6 failpart 4 failoff 2 failhdr 2 failupd 2
                      trigger 6 trim 3 ddl 5}] {
    insert   { m_insert $t }
    many     { m_insert_many $t }
    big      { m_insert_big $t }
    self     { m_insert_self $t }
    failpart { m_fail_partition $t }
    failoff  { m_fail_offset $t }
    failhdr  { m_fail_headers $t }
    failupd  { m_fail_update $t }
    trigger  { m_trigger $t }
    trim     { m_trim $t }
    ddl      { m_ddl }
  }
}

# One step; M(stack) is the open transaction: {} none, else "BEGIN" or
# savepoints, outermost first.
proc m_step {} {
  global M
  if {$M(stack) eq ""} {
    switch [m_weighted {begin 35 savepoint 10 auto 35 between 20}] {
      begin {
        m_exec [m_pick {BEGIN "BEGIN IMMEDIATE"}]
        lappend M(stack) BEGIN
      }
      savepoint {
        set sp s[m_rnd 3]
        m_exec "SAVEPOINT $sp"
        lappend M(stack) $sp
      }
      auto {
        # Twin and topic are two statements: one transaction all the same.
        m_exec BEGIN
        m_write
        m_commit
        m_check_reader 20
      }
      between { m_between }
    }
    return
  }
  switch [m_weighted {write 70 savepoint 10 release 5 rollbackto 8 commit 14 rollback 3}] {
    write { m_write }
    savepoint {
      set sp s[m_rnd 3]
      m_exec "SAVEPOINT $sp"
      lappend M(stack) $sp
    }
    release {
      if {[set i [m_savepoint]] < 0} return
      set bLast [expr {$i == 0}]
      if {$bLast && $M(journal) ne "wal"} m_let_go
      m_exec "RELEASE [lindex $M(stack) $i]"
      set M(stack) [lrange $M(stack) 0 [expr {$i-1}]]
      if {$bLast} { m_check_reader 100 }
    }
    rollbackto {
      if {[set i [m_savepoint]] < 0} return
      m_exec "ROLLBACK TO [lindex $M(stack) $i]"
      set M(stack) [lrange $M(stack) 0 $i]
      m_check $M(w) 100
    }
    commit {
      m_commit
      set M(stack) {}
      m_check_reader 60
    }
    rollback {
      m_exec ROLLBACK
      set M(stack) {}
      m_check $M(w) 100
    }
  }
}

# Position in the stack of a savepoint that can be named: the innermost of
# its name.
proc m_savepoint {} {
  global M
  set names [lsearch -all -inline -not $M(stack) BEGIN]
  if {$names eq ""} { return -1 }
  set name [m_pick $names]
  return [lindex [lsearch -all -exact $M(stack) $name] end]
}

proc m_limits {which} {
  limits small
  switch $which {
    default { limits default }
    tiny {
      foreach {name value} {szDirect 300 szDirectOs 100 szRing 1500 szRingPart 100 mxRing 6000 szStage 3000
                            szWrite 700 szIndex 1 szZero 600 nSpill 1 nOpen 2} {
        prill_limit $name $value
      }
    }
  }
}

proc model_run {seed config steps} {
  global M
  array unset M
  array set M {file test.db journal wal page 4096 encoding UTF-8 attach 0 limits small flush both switch 0}
  array set M $config
  array set M {trace {} stack {} names 0 step 0 time 1700000000000 w db held 0}
  set M(reader) [expr {$M(file) eq "test.db"}]
  set M(schemas) [expr {$M(attach) ? {main aux1} : {main}}]
  set M(codecs) [concat none lz4 [fixture_codecs] producer]
  expr {srand($seed)}
  m_limits $M(limits)
  set rc [catch {
    m_begin_run
    for {set M(step) 1} {$M(step) <= $steps} {incr M(step)} {
      m_step
      m_check $M(w) 12
      if {[m_often 15]} { m_check_reader 10 }
    }
    m_let_go
    if {$M(stack) ne ""} { m_exec [m_pick {COMMIT ROLLBACK}] }
    set M(stack) {}
    foreach c [expr {$M(reader) ? {db db2 db3} : {db}}] {
      foreach t [m_topics $c] { m_same $c $t; m_ends $c $t }
    }
    foreach s $M(schemas) {
      set z [db eval "PRAGMA $s.integrity_check"]
      if {$z ne "ok"} { error "integrity_check of $s: $z" }
      set z [db onecolumn "SELECT prill_check('$s')"]
      if {$z ne "ok"} { error "prill_check of $s: $z" }
    }
    m_disconnect
  } msg]
  if {$rc} {
    set info [string range $::errorInfo 0 1500]
    catch {m_disconnect}
    return "$msg\nstep $M(step); replay: PRILL_MODEL_SEED=$seed PRILL_MODEL_CONFIG='$config'\
        PRILL_MODEL_STEPS=$steps\n$info\n[join [lrange $M(trace) end-25 end] \n]"
  }
  limits small
  return ok
}
