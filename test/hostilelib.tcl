# hostilelib.tcl: a store, what is asked of it, and what was answered; then the
# same of a store that somebody has changed who means harm.
#
#   answers CHANGE ?STRICT?    what is wrong with how the store answers after
#                              the script CHANGE, as a list
#
# Whatever is asked: it ends, with an answer or an error that says something;
# nothing is left open; and, with STRICT, an answer that is not what it was is
# no answer to a store that prill_check() calls "ok".

db eval {
  CREATE VIRTUAL TABLE t USING topic(partitions=2, segment_bytes=2500, compression_type=none, key_index=on, retention_ms=-1);
  CREATE VIRTUAL TABLE c USING topic(cleanup_policy=compact, segment_bytes=2500, min_cleanable_dirty_ratio=0);
}
for {set i 0} {$i < 12} {incr i} {
  db eval {
    BEGIN;
    INSERT INTO t(partition, timestamp, key, value) SELECT value%2, 1000+value, 'k'||(value%5), value||hex(zeroblob(60)) FROM
      json_each('[0,1,2,3,4,5,6,7,8,9,10,11,12,13]');
    INSERT INTO c(timestamp, key, value) SELECT 1000+value, 'k'||(value%5), value||hex(zeroblob(60)) FROM
      json_each('[0,1,2,3,4,5,6,7,8,9,10,11,12,13]');
    COMMIT;
  }
}
db eval BEGIN
prill_identify db name
set off [db one {SELECT log_end_offset FROM prill_partitions WHERE topic='t' AND partition=0}]
db eval {INSERT INTO t(partition, timestamp, key, value) VALUES(0, 2000, 'k1', 'small')}
prill_sequence db t 0 1 0 0 1 $off
db eval {COMMIT; INSERT INTO t(partition, timestamp, key, value) VALUES(1, 2001, NULL, x'00ff'), (1, 2000, 'k2', NULL);
  INSERT INTO prill_offsets(group_id, topic, partition, committed_offset) VALUES('g', 't', 0, 3)}
do_test sound {
  list [db one {SELECT prill_check()}] [db one {SELECT count(*) FROM prill_store_segment}] \
    [db one {SELECT min(tail_bytes)>0 FROM prill_partitions WHERE topic='t'}]
} {/^ok \d+ 1$/}
set asked {
  {SELECT count(*), sum(offset), sum(length(value)), max(timestamp) FROM t}
  {SELECT partition, offset FROM t WHERE key='k1' ORDER BY 1, 2}
  {SELECT offset FROM t WHERE partition=0 ORDER BY offset DESC LIMIT 3}
  {SELECT count(*) FROM t WHERE timestamp>=1005}
  {SELECT count(*), sum(length(value)) FROM c}
}
set right [lmap sql $asked {db eval $sql}]
db eval {PRAGMA wal_checkpoint(TRUNCATE)}
faultsim_save_and_close

proc answers {change {bStrict 1}} {
  faultsim_restore_and_reopen
  uplevel #0 $change
  db close
  sqlite3 db test.db
  set bad {}
  set differs {}
  foreach sql $::asked want $::right {
    if {[catch {db eval $sql} got]} {
      if {[regexp {^$|not an error|unknown error} $got]} { lappend bad "$sql: says '$got'" }
    } elseif {$got ne $want} {
      lappend differs $sql
    }
  }
  set rc [catch {db one {SELECT prill_check()}} check]
  if {$bStrict && $differs ne "" && $rc == 0 && $check eq "ok"} { lappend bad "prill_check says ok; others: $differs" }
  foreach sql {
    {SELECT * FROM prill_topics, prill_partitions, prill_segments}
    {SELECT * FROM prill_batches('t')}
    {SELECT * FROM prill_offsets}
    {SELECT * FROM prill_config}
    {SELECT prill_wait('t', 0)}
    {SELECT prill_debug()}
    {INSERT INTO t(partition, key, value) VALUES(0, 'k1', 'more'), (1, 'k1', hex(zeroblob(700)))}
    {UPDATE prill_topics SET partitions=3 WHERE name='t'}
    {UPDATE prill_partitions SET log_start_offset=5 WHERE topic='t' AND partition=0}
    {INSERT INTO t(partition, key, value) SELECT value%2, 'k2', hex(zeroblob(900)) FROM json_each('[0,1,2,3,4,5,6,7]')}
    {SELECT prill_maintain()}
    {SELECT prill_maintain()}
    {SELECT prill_maintain()}
    {SELECT prill_maintain()}
    {SELECT count(*) FROM c}
    {SELECT prill_backup('copy.db')}
    {DROP TABLE c}
  } {
    if {[catch {db eval $sql} got] && [regexp {^$|not an error|unknown error} $got]} { lappend bad "$sql: says '$got'" }
    catch {db eval ROLLBACK}
  }
  db eval BEGIN
  catch {prill_identify db name}
  catch {prill_sequence db t 0 1 0 1 1}
  catch {db eval ROLLBACK}
  db close
  forcedelete {*}[db_files copy.db]
  if {[open_files] ne ""} { lappend bad "left open: [open_files]" }
  return $bad
}
