# crashloop.tcl: workloads over topics and tables, crashed anywhere, and the
# oracle that says what must be left.
#
# Sourced by crash.test and, for the procedures w_*, by its children.
#
# THE STORE.  Topics t1 (3 partitions, LZ4) and t2 (2 partitions, none), made
# small enough that segments roll, the ring turns and large transactions are
# written early; t5 has one large segment; t3 and t4 come and go.  Ordinary tables: twin has one row for
# every record, written in the record's transaction; txlog one row for every
# transaction, numbered 1, 2, 3 ...; auto has a trigger that writes a record,
# its twin and its txlog row, so that one INSERT in autocommit is a transaction.
#
# THE ORACLE (crash_verify).  Whatever the crash: integrity_check and
# prill_check say ok; txlog holds 1..k, so no transaction is missing below
# another; every topic equals its twin rows, so none is torn; the offsets of
# each partition are 0, 1, 2 ...; a record can be written to each partition at
# once and read back.  And of what was acknowledged, k may lack
#
#   none     nothing (WAL at FULL and EXTRA, DELETE at EXTRA; death of a process)
#   last     at most the last transaction: in DELETE mode at NORMAL and FULL
#            the journal's deletion is not synced
#   suffix   any number of the newest (WAL at NORMAL)

# -------------------------------------------------------------------------
# In the child

proc w_schema {} {
  foreach {topic n codec} {t1 3 lz4  t2 2 none} {
    db eval "CREATE VIRTUAL TABLE $topic USING topic(partitions=$n,
        compression_type=$codec, segment_bytes=3000, batch_size=600, key_index=on)"
  }
  # t5 is for segments large enough to be zero-filled ahead.
  db eval {
    CREATE VIRTUAL TABLE t5 USING topic(partitions=1, compression_type=none, key_index=on);
    CREATE TABLE twin(topic, partition INT, offset INT, key, value, tx INT);
    CREATE TABLE txlog(id INTEGER PRIMARY KEY);
    CREATE TABLE auto(id INTEGER PRIMARY KEY, key, value);
    CREATE TRIGGER auto_ai AFTER INSERT ON auto BEGIN
      INSERT INTO t1(key, value) VALUES(new.key, new.value);
      INSERT INTO twin VALUES('t1', prill_partition(), prill_offset(), new.key, new.value, new.id);
      INSERT INTO txlog VALUES(new.id);
    END;
  }
}

# Open the store, making it if need be.  FLUSH: commit or os.
proc w_open {journal sync flush seed} {
  expr {srand($seed)}
  sqlite3 db test.db -vfs crash
  db eval "PRAGMA journal_mode=$journal; PRAGMA synchronous=$sync; PRAGMA cache_size=20"
  db eval {PRAGMA wal_autocheckpoint=25}
  if {![db exists {SELECT 1 FROM sqlite_schema WHERE name='txlog'}]} {
    db eval BEGIN
    w_schema
    if {$flush ne "commit"} {
      db eval {UPDATE prill_config SET value=$flush WHERE scope='store' AND name='flush'}
    }
    db eval {INSERT INTO txlog VALUES(1)}
    ack_commit 1
  }
  set ::tx [db one {SELECT max(id) FROM txlog}]
}

proc w_random {n} { expr {int(rand()*$n)} }

# A value of about N bytes: part of it compresses, part does not.
proc w_value {n} {
  set z "$::tx:[string repeat ab [expr {$n/4}]]"
  while {[string length $z] < $n} { append z [format %08x [w_random 0x7fffffff]] }
  return $z
}

proc w_begin {} {
  db eval BEGIN
  incr ::tx
}
proc w_commit {} {
  db eval {INSERT INTO txlog VALUES($::tx)}
  ack_commit $::tx
}
proc w_rollback {} {
  db eval ROLLBACK
  incr ::tx -1
}
proc w_tx {script} {
  w_begin
  uplevel 1 $script
  w_commit
}

proc w_put {topic size {partition ""}} {
  set value [w_value $size]
  set key k[w_random 12]
  if {[w_random 12] == 0} {
    # Kafka's null key.
    db eval "INSERT INTO ${topic}(key, value) VALUES(NULL, \$value)"
    db eval {INSERT INTO twin VALUES($topic, prill_partition(), prill_offset(), NULL, $value, $::tx)}
    return
  }
  if {$partition eq ""} {
    db eval "INSERT INTO ${topic}(key, value) VALUES(\$key, \$value)"
  } else {
    db eval "INSERT INTO ${topic}(partition, key, value) VALUES(\$partition, \$key, \$value)"
  }
  db eval {INSERT INTO twin VALUES($topic, prill_partition(), prill_offset(), $key, $value, $::tx)}
}
proc w_puts {topic n size args} {
  for {set i 0} {$i < $n} {incr i} { w_put $topic $size {*}$args }
}
proc w_auto {size} {
  incr ::tx
  set value [w_value $size]
  set key k[w_random 12]
  ack_try $::tx
  db eval {INSERT INTO auto VALUES($::tx, $key, $value)}
  ack_ok $::tx
}
proc w_maintain {} {
  for {set i 0} {$i < 5 && [db one {SELECT prill_maintain()}]} {incr i} {}
}

# One or a few records a transaction: frames, ring turns, spills.
proc w_small {} {
  for {set i 0} {$i < 10} {incr i} {
    w_auto [expr {30+[w_random 100]}]
    w_tx { w_put t1 60; w_put t2 200; w_put t1 90 }
    w_tx { w_puts t2 3 300 }
    if {$i == 4} w_maintain
  }
}

# Large ones: direct writes, early flushes, rolls; small ones between.
proc w_large {} {
  w_tx { w_puts t1 12 200 0 }
  w_tx { w_put t1 50 0; w_put t2 50 }
  w_tx { w_puts t1 40 300; w_puts t2 30 400 1 }
  w_tx { w_puts t2 60 500 }
  w_maintain
  w_tx { w_puts t1 8 250 1; w_put t2 30 }
  w_auto 40
  w_tx { w_put t1 3000 2; w_put t1 30 2 }
  w_begin
  w_puts t1 50 400
  w_rollback
  w_tx { w_puts t1 20 300; w_put t2 1500 0 }
}

# Savepoints at any depth, before and after the early flush.
proc w_savepoint {} {
  w_tx {
    w_put t1 50
    db eval {SAVEPOINT a}
    w_puts t1 3 100
    w_put t2 100
    db eval {SAVEPOINT b}
    w_puts t2 20 300
    db eval {ROLLBACK TO b}
    w_put t2 40
    db eval {ROLLBACK TO a}
    w_put t1 70
  }
  w_tx {
    db eval {SAVEPOINT a}
    w_puts t1 60 400 0
    db eval {ROLLBACK TO a}
    w_puts t1 5 300 0
    db eval {RELEASE a}
  }
  w_tx {
    w_puts t1 40 400 1
    db eval {SAVEPOINT a}
    w_puts t1 40 400 1
    db eval {SAVEPOINT b}
    w_puts t2 30 400
    db eval {RELEASE b}
    db eval {ROLLBACK TO a}
    w_puts t1 2 50 1
  }
  w_tx {
    db eval {SAVEPOINT a}
    db eval {SAVEPOINT b}
    w_puts t2 10 200 0
    db eval {ROLLBACK TO a}
    db eval {RELEASE a}
    w_put t1 10
  }
  w_begin
  db eval {SAVEPOINT a}
  w_puts t2 40 500
  w_rollback
  w_tx { w_put t2 90; w_put t1 90 }
}

# Topics that come, are renamed, and go; their files after them.
proc w_create {topic n} {
  db eval "CREATE VIRTUAL TABLE $topic USING topic(partitions=$n, segment_bytes=2000)"
}
proc w_drop {topic} {
  db eval "DROP TABLE $topic"
  db eval {DELETE FROM twin WHERE topic=$topic}
}
proc w_rename {from to} {
  db eval "ALTER TABLE $from RENAME TO $to"
  db eval {UPDATE twin SET topic=$to WHERE topic=$from}
}
proc w_ddl {} {
  w_tx { w_create t3 2; w_puts t3 4 100 }
  w_tx { w_puts t3 25 400; w_put t1 50 }
  w_tx { w_rename t3 t4; w_put t4 60 }
  w_tx { w_puts t4 15 300 0 }
  w_begin
  w_drop t4
  w_rollback
  w_tx { w_put t4 20 }
  w_tx { w_drop t4; w_put t2 20 }
  w_maintain
  w_tx { w_create t4 1; w_puts t4 10 300 }
  w_tx { w_put t4 10; db eval {SAVEPOINT a}; w_drop t4; db eval {ROLLBACK TO a}; w_put t2 10 }
  w_maintain
  w_tx { w_drop t4; w_create t4 1; w_put t4 80 }
  w_maintain
  w_tx { w_put t1 40 }
}

# Older records deleted, and the segments that held them.
proc w_trim {topic partition n} {
  set start [db one {SELECT max(offset) FROM twin WHERE topic=$topic AND partition=$partition}]
  if {$start eq "" || $start < $n} return
  set start [expr {$start - $n}]
  db eval {
    UPDATE prill_partitions SET log_start_offset=max(log_start_offset, $start)
     WHERE topic=$topic AND partition=$partition;
    DELETE FROM twin WHERE topic=$topic AND partition=$partition AND offset<$start;
  }
}
proc w_trimming {} {
  w_tx { w_puts t1 25 300 0; w_puts t2 25 300 1 }
  w_tx { w_trim t1 0 8; w_put t1 30 0 }
  w_maintain
  w_tx { w_puts t1 12 300 0; w_trim t2 1 2 }
  w_begin
  w_trim t1 0 1
  w_rollback
  w_tx { w_put t1 20; db eval {SAVEPOINT a}; w_trim t1 0 1; db eval {ROLLBACK TO a}; w_put t2 9 }
  w_maintain
  w_tx { w_trim t1 0 0; w_trim t2 1 0 }
  w_maintain
  w_tx { w_puts t1 10 300 0; w_put t2 40 1 }
}

# A segment of 64 KiB and more, which upkeep zero-fills ahead of its end.
proc w_ahead {} {
  w_tx { w_puts t5 120 600 }
  w_maintain
  w_tx { w_puts t5 6 400 }
  w_tx { w_put t5 30 }
  w_begin
  w_puts t5 60 500
  w_rollback
  w_tx { w_puts t5 8 300 }
  w_tx { w_puts t5 30 500; db eval {SAVEPOINT a}; w_puts t5 40 500; db eval {ROLLBACK TO a}; w_put t5 10 }
  w_maintain
  w_tx { w_puts t5 10 500 }
}

# N transactions of any sort.
proc w_has {topic} { db exists {SELECT 1 FROM sqlite_schema WHERE name=$topic} }
proc w_any {} {
  set topic t[expr {1+[w_random 2]}]
  switch [w_random 14] {
    0 - 1   { w_auto [w_random 200] }
    2 - 3   { w_tx { w_puts $topic [expr {1+[w_random 4]}] [w_random 300] } }
    4       { w_tx { w_put t1 [w_random 90]; w_put t2 [w_random 90] } }
    5       { w_tx { w_puts $topic [expr {5+[w_random 20]}] 300 [w_random 2] } }
    6       { w_tx { w_puts $topic 60 [expr {200+[w_random 300]}] } }
    7 {
      w_tx {
        w_puts $topic [w_random 4] 100
        db eval {SAVEPOINT a}
        w_puts $topic [w_random 50] 400
        if {[w_random 2]} { db eval {ROLLBACK TO a} }
        w_puts $topic [w_random 4] 100
      }
    }
    8 { w_begin; w_puts $topic [w_random 60] 300; w_rollback }
    9 {
      if {![w_has t3]} {
        w_tx { w_create t3 1; w_puts t3 [w_random 20] 200 }
      } elseif {[w_random 2]} {
        w_tx { w_drop t3; w_put $topic 20 }
      } else {
        w_tx { w_puts t3 [w_random 20] 300 }
      }
    }
    10 {
      if {[w_has t3] && ![w_has t4]} {
        w_tx { w_rename t3 t4 }
      } elseif {[w_has t4]} {
        w_tx { w_drop t4 }
      }
    }
    11 { w_maintain }
    12 { w_tx { w_puts t5 [expr {20+[w_random 80]}] 500 } }
    13 { w_tx { w_trim $topic [w_random 2] [w_random 20]; w_put $topic 40 } }
  }
}
proc w_mixed {{n 14}} {
  for {set i 0} {$i < $n} {incr i} w_any
}

# With flush=os, after a power loss: the first write repairs the store; what it
# gave up leaves the twin; and on it goes.
proc w_repaired {} {
  w_begin
  set topics [db eval {SELECT name, partitions FROM prill_topics}]
  foreach {topic n} $topics {
    for {set p 0} {$p < $n} {incr p} { w_put $topic 20 $p }
  }
  foreach {topic n} $topics {
    db eval "DELETE FROM twin WHERE topic='$topic' AND NOT EXISTS (SELECT 1 FROM $topic AS r
        WHERE r.partition=twin.partition AND r.offset=twin.offset AND r.value=twin.value)"
  }
  w_commit
  w_mixed
}

# The same while syncs fail: whatever is refused is rolled back, and on it goes.
proc w_failing {n glob} {
  crashvfs failsync $n $glob
  for {set i 0} {$i < 14} {incr i} {
    if {[catch w_any msg]} {
      if {![regexp {disk I/O error|cannot be written|cannot write} $msg]} { error $msg }
      catch {db eval ROLLBACK}
      set ::tx [db one {SELECT max(id) FROM txlog}]
    }
  }
}

# -------------------------------------------------------------------------
# In the parent

set crash_boot 0
set crash_count 0
set crash_lost 0        ;# records that flush=os lost, with a report
proc crash_newboot {} { return boot-[incr ::crash_boot] }

# The script of a child.
proc crash_script {workload journal sync flush seed} {
  return "source \[file join \$testdir crashloop.tcl\]
    w_open $journal $sync $flush $seed
    w_$workload"
}

# The lost ranges of offsets the store knows of, each {TOPIC PARTITION FIRST
# LAST WHEN}, and what prill_check says beside them.
proc crash_gaps {} {
  set gaps {}
  db eval {
    SELECT name, part, first, last, at FROM prill_store_gap
      JOIN prill_store_part USING(pid) JOIN prill_store_topic ON topic=id ORDER BY 1,2,3
  } { lappend gaps [list $name $part $first $last $at] }
  return $gaps
}
proc crash_check_lines {gaps} {
  set other {}
  set check [db one {SELECT prill_check()}]
  if {$check eq "ok"} { set check "" }
  foreach line [split $check \n] {
    if {[regexp {lost: topic (\S+) partition (\d+): offsets (\d+) to (\d+) } $line -> t p a b]} {
      set found [lsearch -index 0 -all -inline $gaps $t]
      set found [lsearch -index 1 -all -inline $found $p]
      if {[lsearch -index 2 $found $a] < 0} { lappend other $line }
    } elseif {$line ne ""} {
      lappend other $line
    }
  }
  return $other
}

# Compare a topic with its twin rows.
proc crash_compare {topic {gaps 0}} {
  set got [db eval "SELECT partition, offset, ifnull(key,'(null)'), value FROM $topic
      ORDER BY partition, offset"]
  set want [db eval "SELECT partition, offset, ifnull(key,'(null)'), value FROM twin
      WHERE topic='$topic' ORDER BY partition, offset"]
  set bad {}
  if {$got ne $want} {
    set brief "[llength $got] against [llength $want] values"
    foreach {p o k v} $got {p2 o2 k2 v2} $want {
      if {"$p $o $k $v" ne "$p2 $o2 $k2 $v2"} {
        append brief "; first: $p/$o $k [string range $v 0 20] against $p2/$o2 $k2 [string range $v2 0 20]"
        break
      }
    }
    lappend bad "$topic differs from its twin: $brief"
  }
  # By key, a topic says the same.
  foreach key {k1 k7 after none} {
    set has {}
    foreach {p o k v} $got { if {$k eq $key} { lappend has $p $o $v } }
    set found [db eval "SELECT partition, offset, value FROM $topic WHERE key='$key' ORDER BY 1, 2"]
    if {$found ne $has} { lappend bad "$topic: key $key gives [llength $found] values, not [llength $has]" }
  }
  set at -1
  foreach {p o k v} $got {
    if {$p != $at} {
      set at $p
      set next [db one {SELECT log_start_offset FROM prill_partitions WHERE topic=$topic AND partition=$p}]
    }
    if {$o != $next && !($gaps && $o > $next)} {
      lappend bad "$topic partition $p: offset $o where $next should be"
      break
    }
    set next [expr {$o+1}]
  }
  return $bad
}

# Write a record to every partition and read it back.
proc crash_write {topic n {gaps 0}} {
  set bad {}
  for {set p 0} {$p < $n} {incr p} {
    set want [db one {SELECT max(offset)+1 FROM twin WHERE topic=$topic AND partition=$p}]
    if {$want eq ""} {
      set want [db one {SELECT log_end_offset FROM prill_partitions WHERE topic=$topic AND partition=$p}]
    }
    db eval "INSERT INTO ${topic}(partition, key, value) VALUES($p, 'after', 'value-$p')"
    set off [db one {SELECT prill_offset()}]
    if {$gaps} {
      # The offsets lost are assigned again, where nothing stands above them.
      db eval {DELETE FROM twin WHERE topic=$topic AND partition=$p AND offset>=$off}
    } elseif {$off != $want} {
      lappend bad "$topic partition $p: next offset $off, not $want"
    }
    db eval {INSERT INTO twin VALUES($topic, $p, $off, 'after', 'value-' || $p, 0)}
    set got [db eval "SELECT key, value FROM $topic WHERE partition=$p AND offset=$off"]
    if {$got ne "after value-$p"} { lappend bad "$topic partition $p: read back {$got}" }
  }
  return $bad
}

proc crash_topics {} {
  db eval {SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%USING topic%' ORDER BY 1}
}
proc crash_write_all {{gaps 0}} {
  set bad {}
  db eval BEGIN
  foreach t [crash_topics] {
    set n [db one {SELECT partitions FROM prill_topics WHERE name=$t}]
    lappend bad {*}[crash_write $t $n $gaps]
  }
  db eval COMMIT
  return $bad
}

# Everything about an open database but how much of it is left.  With GAPS
# (flush=os and a power loss) the records that prill_check reports lost, once
# there has been a write, may be gone from the topics, and no others.
proc crash_inspect {gaps} {
  set bad {}
  set check [db eval {PRAGMA integrity_check}]
  if {$check ne "ok"} { lappend bad "integrity_check: $check" }
  set topics [crash_topics]
  foreach t [db eval {SELECT DISTINCT topic FROM twin}] {
    if {$t ni $topics} { lappend bad "topic $t is gone" }
  }
  if {$gaps} {
    foreach t $topics {
      # Before a repair: a read ends early, but is not wrong.
      db eval "SELECT partition AS p, offset AS o, value AS v FROM $t" {
        if {![db exists {SELECT 1 FROM twin WHERE topic=$t AND partition=$p AND offset=$o AND value=$v}]} {
          lappend bad "$t $p/$o before the repair: [string range $v 0 20]"
        }
      }
    }
    db eval {CREATE TEMP TABLE before AS SELECT * FROM twin}
    set old [crash_gaps]
    lappend bad {*}[crash_write_all 1]
    set gaps [crash_gaps]
    set other [crash_check_lines $gaps]
    foreach gap $gaps {
      if {$gap in $old} continue
      lassign $gap t p a b
      incr ::crash_lost [expr {$b-$a+1}]
      db eval {DELETE FROM twin WHERE topic=$t AND partition=$p AND offset BETWEEN $a AND $b AND tx>0;
               DELETE FROM before WHERE topic=$t AND partition=$p AND offset BETWEEN $a AND $b}
    }
    if {$other ne ""} { lappend bad "prill_check: $other" }
    # Nothing went that was not reported.
    set n [db one {SELECT count(*) FROM (SELECT * FROM before EXCEPT SELECT * FROM twin)}]
    if {$n} { lappend bad "$n records gone without a report" }
    foreach t $topics { lappend bad {*}[crash_compare $t 1] }
    return $bad
  }
  set check [db one {SELECT prill_check()}]
  if {$check ne "ok"} { lappend bad "prill_check: $check" }
  foreach t $topics { lappend bad {*}[crash_compare $t] }
  if {$bad ne ""} { return $bad }
  lappend bad {*}[crash_write_all]
  foreach t $topics { lappend bad {*}[crash_compare $t] }
  set check [db one {SELECT prill_check()}]
  if {$check ne "ok"} { lappend bad "prill_check after a write: $check" }
  return $bad
}

proc crash_max {n list} { tcl::mathfunc::max $n {*}$list }

# The oracle.  R is what crash_run returned, LOSS none, last or suffix, FLOOR a
# number of transactions known to have survived before, CEILING one that may
# have, GAPS as above.  Returns {K PROBLEMS}.
proc crash_verify {r loss {floor 0} {gaps 0} {ceiling 0}} {
  set k 0
  set bad {}
  set most [crash_max $floor [dict get $r acked]]
  set tried [crash_max [crash_max $floor $ceiling] [dict get $r tried]]
  sqlite3 db test.db
  if {[catch {
    if {[db exists {SELECT 1 FROM sqlite_schema WHERE name='txlog'}]} {
      set ids [db eval {SELECT id FROM txlog ORDER BY id}]
      set k [llength $ids]
      if {[lindex $ids end] != $k} { lappend bad "transactions left: $ids" }
      if {$bad eq ""} { set bad [crash_inspect $gaps] }
    } elseif {[db one {SELECT count(*) FROM sqlite_schema}] != 0} {
      lappend bad "part of the schema: [db eval {SELECT name FROM sqlite_schema}]"
    }
  } msg]} { lappend bad "error: $msg" }
  catch {db close}
  switch $loss {
    none   { set least $most }
    last   { set least [expr {max($floor, $most-1)}] }
    suffix { set least $floor }
  }
  if {$k < $least} { lappend bad "$k transactions left of $most acknowledged" }
  if {$k > $tried} { lappend bad "$k transactions where only $tried were tried" }
  return [list $k $bad]
}

# What SQLite itself does not promise: at NORMAL with a rollback journal a power
# cut before the sync of the journal has ended can leave the database malformed,
# or no database (crashvfs-5.7.1 and 5.7.2 show it of plain tables).  Only that,
# and only there.
set crash_excuses 0
proc crash_excused {journal sync bad} {
  if {$journal eq "wal" || $sync ne "NORMAL" || [lsearch -regexp $bad {malformed|not a database}] < 0
   && [lsearch -glob $bad integrity_check:*] < 0} { return 0 }
  set f [open crash.report]
  set last [lindex [split [string trim [read $f]] \n] end]
  close $f
  if {![regexp {^mode power .*file \{[^\}]*-journal\}} $last]} { return 0 }
  incr ::crash_excuses
  return 1
}

# Crash the workload at operations spread over all of it.  Returns the
# problems found.  Options: -loss, -mode power|kill, -flush commit|os, -kind
# (of operation), -sample N (how many operations; 0 and in fulltest: all),
# -rounds N, -seed N.
proc crash_sweep {workload journal sync args} {
  array set o {-loss none -mode power -flush commit -kind any -sample 20 -rounds 1 -seed 1}
  array set o $args
  set problems {}
  forcedelete {*}[db_files test.db]
  set r [crash_run [crash_script $workload $journal $sync $o(-flush) $o(-seed)] \
      -kind $o(-kind) -boot [crash_newboot]]
  set nOp [dict get $r ops]
  if {[dict get $r status] ne "done"} { return [list "without a crash: [dict get $r output]"] }
  if {[isfull]} { set o(-sample) 0 }
  for {set round 0} {$round < $o(-rounds)} {incr round} {
    set step [expr {$o(-sample) ? max(1.0, double($nOp)/$o(-sample)) : 1.0}]
    # Another place within the stride for each sweep.
    set start [expr {1 + ($o(-seed)*7 + $round*3) % int(ceil($step))}]
    for {set at $start} {$at <= $nOp} {set at [expr {$at+$step}]} {
      set op [expr {int($at)}]
      set seed [expr {$o(-seed)*1000003 + $round*10007 + $op}]
      forcedelete {*}[db_files test.db]
      set r [crash_run [crash_script $workload $journal $sync $o(-flush) $o(-seed)] \
          -op $op -kind $o(-kind) -seed $seed -mode $o(-mode) -when [lindex {before after} [expr {$op%5==0}]] \
          -boot [crash_newboot]]
      incr ::crash_count
      if {[dict get $r status] eq "error"} {
        lappend problems "op $op: [dict get $r output]"
        continue
      }
      if {$o(-mode) eq "power"} { prill_bootid [crash_newboot] }
      set gaps [expr {$o(-mode) eq "power" && $o(-flush) eq "os"}]
      lassign [crash_verify $r $o(-loss) 0 $gaps] k bad
      if {[crash_excused $journal $sync $bad]} continue
      foreach p $bad {
        lappend problems "$workload $journal $sync $o(-mode) flush=$o(-flush) $o(-kind) op $op of $nOp seed $seed: $p"
      }
      if {[llength $problems] > 5} { return $problems }
    }
  }
  return $problems
}

# A chain of crashes: each child goes on from what the one before left.  The
# oracle looks at a copy, so that the next child does the recovery itself.
proc crash_chain {seed journal sync loss args} {
  array set o {-flush commit -links 0}
  array set o $args
  set links [expr {$o(-links) ? $o(-links) : 3+$seed%4}]
  set floor 0
  set ceiling 0
  set carry ""
  set home [pwd]
  forcedelete {*}[db_files test.db] carry.1 carry.2
  set boot [crash_newboot]
  # With flush=os what may be lost is known from the last power loss alone.
  set gaps [expr {$o(-flush) eq "os"}]
  for {set link 1} {$link <= $links} {incr link} {
    set s [expr {$seed*1009 + $link*31}]
    set kill [expr {$s%4 == 0 && !$gaps}]
    set options [list -op [expr {3 + ($s*7919)%([file exists test.db] ? 160 : 260)}] -seed $s -boot $boot]
    if {$carry ne ""} { lappend options -load $carry }
    if {$kill} {
      set next carry.[expr {$link%2}]
      lappend options -mode kill -carry $next
    }
    set work [expr {$o(-flush) eq "os" && $link > 1 ? "repaired" : "mixed"}]
    set r [crash_run [crash_script $work $journal $sync $o(-flush) $s] {*}$options]
    incr ::crash_count
    set status [dict get $r status]
    if {$status eq "error"} {
      return [list "chain $seed $journal $sync link $link of $links: [dict get $r output]"]
    }
    set carry ""
    if {$status eq "crashed" && $kill} {
      set carry $next
    } else {
      set boot [crash_newboot]
    }
    # Look at a copy.
    forcedelete look
    file mkdir look
    foreach f [db_files test.db] {
      if {[file exists $f]} { file copy -force -- $f look/$f }
    }
    cd look
    prill_bootid $boot
    set mine $loss
    if {$status ne "crashed" || $kill} { set mine none }
    lassign [crash_verify $r $mine $floor $gaps $ceiling] k bad
    cd $home
    set ceiling $k
    if {[crash_excused $journal $sync $bad]} { return {} }
    if {$bad ne ""} {
      return [list "chain $seed $journal $sync link $link of $links ($options): [join $bad "; "]"]
    }
    # What a dead process wrote may still go with the power; what it
    # acknowledged may not, where nothing may be lost.
    if {$carry eq ""} {
      set floor $k
    } elseif {$loss eq "none"} {
      set floor [crash_max $floor [dict get $r acked]]
    }
  }
  return {}
}
