# tester.tcl: the procedures tests are written with, in SQLite's manner.
#
# A test file begins with
#
#     source [file dirname [info script]]/tester.tcl
#     set testprefix topic
#
# and ends with finish_test.  It runs in a testfixture process of its own, in
# an empty directory that is removed when all went well, with database "db"
# open on test.db.
#
#   do_test NAME SCRIPT EXPECTED            result of a script
#   do_execsql_test NAME SQL EXPECTED       values of an SQL text
#   do_catchsql_test NAME SQL {RC TEXT}     the same with errors: 0 or 1
#   do_eqp_test NAME SQL EXPECTED           EXPLAIN QUERY PLAN's words
#   do_faultsim_test NAME OPTION...         the 1st, 2nd, 3rd ... call fails
#   execsql, catchsql                       SQL without a test
#   ifcapable NAME SCRIPT ?else SCRIPT?     else is a skip, counted
#   skip_file REASON, skip_case NAME REASON
#   reset_db, forcedelete, forcecopy, capable, isfull, limits
#   launch_testfixture, testfixture         a second process
#   wake_word, asleep, overslept, looks_each  who waits, and what ends its sleeps
#   catches_term                            when a program may be sent a signal
#
# NAME is prefixed with $testprefix- when it begins with a digit.
#
# EXPECTED is exact, or /regular expression/, or *glob*; ~ before either of
# these inverts it.
#
# The process prints what failed and, last, "result PASSED FAILED SKIPPED",
# which runtests.tcl reads.  It fails when memory of SQLite or prill, or a
# file below the test's directory, is left open by finish_test.
#
# The limits of the library are shrunk so that small tests cross every
# boundary: see limits.

set testdir  [file dirname [file normalize [info script]]]
set topdir   [file dirname $testdir]
set builddir [file dirname [file normalize [info nameofexecutable]]]
set prillcmd [file join $builddir prill]

# The state of the run.  Procedures that count keep it here.
array set tester {passed 0 failed 0 skipped 0 verbose 0 full 0 finished 0}
foreach a $argv {
  switch -glob -- $a {
    -full    { set tester(full) 1 }
    -verbose { set tester(verbose) 1 }
    -child   { die_with_parent }
  }
}
set tester(name) [file rootname [file tail $argv0]]
set tester(dir) [file join $builddir testdir $tester(name).[pid]]
set testprefix $tester(name)
fconfigure stdout -buffering line

# -------------------------------------------------------------------------
# Verdicts

proc isfull {} { return $::tester(full) }

proc test_pass {name} {
  incr ::tester(passed)
  if {$::tester(verbose)} { puts "ok   $name" }
}

proc test_fail {name text} {
  incr ::tester(failed)
  puts "FAIL $name"
  puts "     [string map [list \n "\n     "] $text]"
}

proc skip_case {name reason} {
  incr ::tester(skipped)
  puts "SKIP [fix_testname $name]: $reason"
}

# Leave the whole file.
proc skip_file {reason} {
  skip_case $::tester(name) $reason
  finish_test
}

proc fix_testname {name} {
  if {[string match {[0-9]*} $name]} { return $::testprefix-$name }
  return $name
}

# Does RESULT satisfy EXPECTED?
proc test_match {result expected} {
  if {[regexp {^(~?)/(.*)/$} $expected -> not re]} {
    return [expr {[regexp -- $re $result] == ($not eq "")}]
  }
  if {[regexp {^(~?)(\*.*\*)$} $expected -> not glob]} {
    return [expr {[string match $glob $result] == ($not eq "")}]
  }
  return [string equal $result $expected]
}

proc test_check {name result expected} {
  if {[test_match $result $expected]} {
    test_pass $name
  } else {
    test_fail $name "expected: [string range $expected 0 3000]\ngot:      [string range $result 0 3000]"
  }
}

# A list pattern is compared as a list: its white space does not count.
proc test_list {expected} {
  if {[regexp {^~?[/*].*[/*]$} $expected]} { return $expected }
  return [list {*}$expected]
}

# -------------------------------------------------------------------------
# Cases

proc do_test {name script expected} {
  set name [fix_testname $name]
  if {[catch {uplevel #0 $script} result]} {
    test_fail $name "error: [string range $::errorInfo 0 3000]"
  } else {
    test_check $name $result $expected
  }
}

proc execsql {sql {db db}} {
  uplevel #0 [list $db eval $sql]
}

# {0 VALUES}, or {1 MESSAGE}.
proc catchsql {sql {db db}} {
  set rc [catch {uplevel #0 [list $db eval $sql]} result]
  return [list $rc $result]
}

proc do_execsql_test {args} {
  set db db
  if {[lindex $args 0] eq "-db"} {
    set db [lindex $args 1]
    set args [lrange $args 2 end]
  }
  lassign $args name sql expected
  do_test $name [list execsql $sql $db] [test_list $expected]
}

proc do_catchsql_test {args} {
  set db db
  if {[lindex $args 0] eq "-db"} {
    set db [lindex $args 1]
    set args [lrange $args 2 end]
  }
  lassign $args name sql expected
  do_test $name [list catchsql $sql $db] [test_list $expected]
}

# The detail column of the plan, one line a step, indented by depth.
proc eqp {sql {db db}} {
  set lines {}
  array set depth {0 0}
  $db eval "EXPLAIN QUERY PLAN $sql" row {
    set depth($row(id)) [expr {$depth($row(parent)) + 1}]
    lappend lines "[string repeat {  } $depth($row(parent))]$row(detail)"
  }
  return [join $lines \n]
}

# EXPECTED: the plan's lines, or a pattern.  Blanks around lines do not count.
proc do_eqp_test {name sql expected} {
  set name [fix_testname $name]
  if {[catch {eqp $sql} got]} {
    test_fail $name "error: $got"
    return
  }
  if {[regexp {^\s*~?[/*].*[/*]\s*$} $expected]} {
    test_check $name $got [string trim $expected]
    return
  }
  foreach v {got expected} {
    set lines {}
    foreach line [split [string trim [set $v]] \n] { lappend lines [string trim $line] }
    set $v [join $lines \n]
  }
  test_check $name $got $expected
}

# -------------------------------------------------------------------------
# What this machine and this build can do

# True when the build or the machine has NAME: a codec, "root", or a program.
proc capable {name} {
  switch -- $name {
    lz4 - zstd - gzip - snappy { return [expr {$name in [fixture_codecs]}] }
    root    { return [expr {[exec id -u] == 0}] }
    nonroot { return [expr {[exec id -u] != 0}] }
    loadable {
      # Can programs that know nothing of it load prill.so?  Not when it is made for AddressSanitizer.
      set so $::builddir/prill.so
      return [expr {[file exists $so] && [catch {exec grep -q __asan_init $so}]}]
    }
    default { return [expr {[auto_execok $name] ne ""}] }
  }
}

proc ifcapable {name script {else ""} {otherwise ""}} {
  if {[capable $name]} {
    uplevel 1 $script
  } else {
    skip_case $::testprefix-$name "$name is not there"
    if {$else eq "else"} { uplevel 1 $otherwise }
  }
}

# The library's limits: "small" as at the start of a test, or "default".
proc limits {which} {
  if {![info exists ::tester(limits)]} { set ::tester(limits) [prill_limit] }
  dict for {name value} $::tester(limits) { prill_limit $name $value }
  if {$which eq "small"} {
    dict for {name value} {
      szDirect 1024  szDirectOs 256  szRing 8192  szRingPart 512  mxRing 65536
      szStage 16384  szWrite 4096  szIndex 64  szZero 4096  szKeyRun 700  szCompact 8192  szMap 16384
        nSpill 2  nOpen 4  nProducer 64
    } { prill_limit $name $value }
  }
}

# -------------------------------------------------------------------------
# Files and connections

# Remove files and directories, whatever is in them.
proc forcedelete {args} { file delete -force -- {*}$args }

proc forcecopy {from to} {
  file delete -force -- $to
  file copy -force -- $from $to
}

# A database with all that belongs to it.
proc db_files {name} {
  return [list $name $name-journal $name-wal $name-shm $name-log]
}

proc db_close_all {} {
  foreach c [info commands db*] {
    if {[regexp {^db[0-9]*$} $c]} { catch {$c close} }
  }
}

# "db" anew, on an empty test.db.
proc reset_db {args} {
  db_close_all
  forcedelete {*}[db_files test.db]
  sqlite3 db test.db {*}$args
}

# Files of this process below the test's directory, by path.
proc open_files {} {
  set found {}
  foreach f [glob -nocomplain /proc/self/fd/*] {
    if {![catch {file readlink $f} path] && [string match $::tester(dir)/* $path]} {
      lappend found $path
    }
  }
  return [lsort $found]
}

# -------------------------------------------------------------------------
# A second process
#
#   set p [launch_testfixture]
#   testfixture $p { sqlite3 db test.db; db eval {SELECT 1} }
#   close $p, or: exec kill -9 [pid $p]; catch {close $p}
#
# It is a testfixture with the same limits, in the same directory.

proc launch_testfixture {} {
  set f [open child.tcl w]
  puts $f {
    die_with_parent
    fconfigure stdin -translation binary
    fconfigure stdout -translation binary
    while {[gets stdin n] >= 0} {
      set script [encoding convertfrom utf-8 [read stdin $n]]
      set rc [catch {uplevel #0 $script} result]
      set result [encoding convertto utf-8 $result]
      puts "$rc [string length $result]"
      puts -nonewline $result
      flush stdout
    }
    exit 0
  }
  close $f
  set p [open |[list [info nameofexecutable] child.tcl 2>@stderr] r+]
  fconfigure $p -translation binary
  foreach cmd {prill_limit} {
    dict for {name value} [prill_limit] { testfixture $p [list prill_limit $name $value] }
  }
  return $p
}

# Run SCRIPT over there and return its result or raise its error.  With
# testfixture_send and testfixture_wait it runs meanwhile.
proc testfixture {p script} {
  testfixture_send $p $script
  return [testfixture_wait $p]
}

proc testfixture_send {p script} {
  set script [encoding convertto utf-8 $script]
  puts $p [string length $script]
  puts -nonewline $p $script
  flush $p
}

proc testfixture_wait {p} {
  if {[gets $p line] < 0} { error "the other process has died" }
  lassign $line rc n
  set result [encoding convertfrom utf-8 [read $p $n]]
  return -code $rc $result
}

# Word I of the file "wake".
proc wake_word {i {file test.db-log/wake}} {
  set f [open $file rb]
  seek $f [expr {4*$i}]
  binary scan [read $f 4] nu v
  close $f
  return $v
}

# Wait until somebody sleeps on the store's word or on the one of topic number ID.
proc asleep {{id 0}} {
  for {set i 0} {$i < 4000} {incr i} {
    foreach w [list 0 [expr {16+$id}]] {
      if {![catch {wake_word $w} v] && ($v & 1)} return
    }
    after 5
  }
  error "nobody fell asleep"
}

# How many sleeps of a connection, here or of process P, have run to their end, which
# the wake is there to avoid.
proc overslept {{p ""}} {
  set script {
    regexp {sleeps (\d+), woken (\d+)} [db onecolumn {SELECT prill_debug()}] -> slept woken
    expr {$slept-$woken}
  }
  return [expr {$p eq "" ? [uplevel #0 $script] : [testfixture $p $script]}]
}

# Wait until program PID catches SIGTERM.
proc catches_term {pid} {
  for {set i 0} {$i < 4000} {incr i} {
    set f [open /proc/$pid/status]
    set text [read $f]
    close $f
    if {[regexp {\nSigCgt:\s+([0-9a-f]+)} $text -> mask] && ("0x$mask" & (1<<14))} return
    after 5
  }
  error "process $pid does not catch SIGTERM"
}

# Process P looks only when it is woken, or each MS milliseconds.
proc looks_each {p ms} { testfixture $p [list prill_limit msLook $ms] }

# -------------------------------------------------------------------------
# Faults
#
# A kind is a name and the scripts that bring it about:
#
#   faultsim_register KIND arm disarm ?setup ?teardown??
#
#   arm       command prefix, called with N: the Nth call from now on fails
#   disarm    command; its result is how many were made to fail since
#   setup, teardown  run once before and after a loop over the kind
#
# do_faultsim_test NAME -faults {oom-* write-transient ...} -prep SCRIPT
#     -body SCRIPT -test SCRIPT ?-start N? ?-end N?
#
# For each kind and N = 1, 2, 3, ...: -prep, arm N, -body, disarm, -test,
# until a pass injects nothing.  All run at global level; -test finds what
# -body did in testrc, testresult and testnfail and calls faultsim_result.

array set faultsim {}

proc faultsim_register {kind arm disarm {setup ""} {teardown ""}} {
  set ::faultsim($kind) [list $arm $disarm $setup $teardown]
}

proc faultsim_malloc {bPersist n} { malloc_fail $n $bPersist }
faultsim_register oom-transient  {faultsim_malloc 0} {malloc_fail 0}
faultsim_register oom-persistent {faultsim_malloc 1} {malloc_fail 0}

# Demand one of the given {RC RESULT} pairs of -body; patterns work in RESULT.
# Where nothing was injected, the first pair alone.
proc faultsim_result {args} {
  global testrc testresult testnfail
  if {$testnfail == 0} { set args [lrange $args 0 0] }
  foreach pair $args {
    if {$testrc == [lindex $pair 0] && [test_match $testresult [lindex $pair 1]]} return
  }
  error "nfail=$testnfail rc=$testrc result=$testresult; allowed: $args"
}

proc do_faultsim_test {name args} {
  array set o {-faults oom-* -prep "" -body "" -test "" -start 1 -end 0}
  array set o $args
  set kinds {}
  foreach pattern $o(-faults) {
    set found [lsort [array names ::faultsim -glob $pattern]]
    if {$found eq ""} { error "no fault kind $pattern" }
    lappend kinds {*}$found
  }
  foreach kind $kinds {
    lassign $::faultsim($kind) arm disarm setup teardown
    db_close_all
    uplevel #0 $setup
    set nUsed [memory_used]
    for {set n $o(-start)} {1} {incr n} {
      set case [fix_testname $name]-$kind-$n
      set more [faultsim_pass $case $n $arm $disarm o]
      set nNow [memory_used]
      if {$nNow > $nUsed} {
        test_fail $case-leak "[expr {$nNow-$nUsed}] bytes were not freed"
        set nUsed $nNow
      }
      if {!$more || $n == $o(-end)} break
      if {$n >= 100000} { test_fail $case "no end"; break }
    }
    db_close_all
    uplevel #0 $teardown
  }
}

# One pass; true when something was injected.
proc faultsim_pass {case n arm disarm optvar} {
  global testrc testresult testnfail
  upvar 1 $optvar o
  uplevel #0 $o(-prep)
  {*}$arm $n
  set testrc [catch {uplevel #0 $o(-body)} testresult]
  set testnfail [{*}$disarm]
  if {[catch {uplevel #0 $o(-test)} msg]} {
    test_fail $case [string range $::errorInfo 0 2000]
  } else {
    test_pass $case
  }
  db_close_all
  return [expr {$testnfail > 0}]
}

# Keep the database files of the moment, and bring them back.
proc faultsim_save {} {
  file delete -force -- saved
  file mkdir saved
  foreach f [db_files test.db] {
    if {[file exists $f]} { file copy -force -- $f saved/$f }
  }
}
proc faultsim_save_and_close {} {
  db_close_all
  faultsim_save
}
proc faultsim_restore {} {
  forcedelete {*}[db_files test.db]
  foreach f [glob -nocomplain -tails -directory saved *] {
    file copy -force -- saved/$f $f
  }
}
proc faultsim_restore_and_reopen {args} {
  db_close_all
  faultsim_restore
  sqlite3 db test.db {*}$args
}
proc faultsim_delete_and_reopen {args} { reset_db {*}$args }

# The kinds of the fault VFS, where testfixture has it: see vfs_tcl.c.
if {[info commands faultvfs_register] ne ""} faultvfs_register

# -------------------------------------------------------------------------
# Beginning and end

proc finish_test {} {
  global tester
  set tester(finished) 1
  db_close_all
  set n [expr {[memory_used] - $tester(used)}]
  if {$n != 0} { test_fail $tester(name)-memory "$n bytes not freed at the end" }
  set files [open_files]
  if {[llength $files] > 0} { test_fail $tester(name)-files "left open: $files" }
  cd $::builddir
  if {$tester(failed) > 0} {
    puts "     (files kept in $tester(dir))"
  } else {
    file delete -force -- $tester(dir)
  }
  puts "result $tester(passed) $tester(failed) $tester(skipped)"
  exit [expr {$tester(failed) > 0}]
}

file delete -force -- $tester(dir)
file mkdir $tester(dir)
cd $tester(dir)
limits small
# What SQLite and prill allocate once and for all is no leak.
sqlite3 db test.db
db eval {CREATE TABLE t(x); INSERT INTO t VALUES(1); PRAGMA integrity_check}
db close
file delete -force -- {*}[db_files test.db]
set tester(used) [memory_used]
sqlite3 db test.db
