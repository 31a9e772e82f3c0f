# runtests.tcl: run the test files, each in a process of its own.
#
#   testfixture runtests.tcl ?-full? ?-j N? ?-timeout SECONDS? ?NAME...?
#
# NAME is a test file's name, a glob of them, with or without ".test"; none
# means all but the slow ones, which need -full or their exact name.
#
# One line a file; what failed, in full, and what was skipped with its reason,
# below it.  The last line is "N passed, N failed", counting cases.  A file
# that ends without saying "result" counts as one more failed case.

# Only in "make fulltest".
set slow {}

set jobs 2
set timeout 300
set full 0
set patterns {}
for {set i 0} {$i < $argc} {incr i} {
  set a [lindex $argv $i]
  switch -- $a {
    -full    { set full 1 }
    -j       { set jobs [lindex $argv [incr i]] }
    -timeout { set timeout [lindex $argv [incr i]] }
    default  { lappend patterns [file rootname [file tail $a]] }
  }
}
if {$full} { set timeout [expr {$timeout*60}] }

set testdir [file dirname [file normalize [info script]]]
set all [lsort [glob -nocomplain -tails -directory $testdir *.test]]
set queue {}
foreach f $all {
  set name [file rootname $f]
  set wanted [expr {$patterns eq "" && ($full || $name ni $slow)}]
  foreach p $patterns {
    if {$name eq $p || ([string match $p $name] && ($full || $name ni $slow))} { set wanted 1 }
  }
  if {$wanted} { lappend queue $name }
}
# The long ones first, so that none is left running alone at the end.
foreach name {crashvfs admin model crash} {
  set i [lsearch -exact $queue $name]
  if {$i >= 0} { set queue [linsert [lreplace $queue $i $i] 0 $name] }
}
if {$queue eq ""} {
  puts "no test file matches: $patterns"
  exit 1
}
array set total {passed 0 failed 0 skipped 0}
set running 0
fconfigure stdout -buffering line

# Start the next file.  setsid gives it a process group, so that a timeout
# ends its children as well.
proc start {} {
  global queue running full testdir out began pids
  if {$queue eq ""} return
  set queue [lassign $queue name]
  set cmd [list setsid [info nameofexecutable] [file join $testdir $name.test] -child]
  if {$full} { lappend cmd -full }
  set ch [open |[concat $cmd [list </dev/null 2>@1]] r]
  fconfigure $ch -blocking 0
  set out($ch) ""
  set began($ch) [clock milliseconds]
  set pids($ch) [lindex [pid $ch] 0]
  incr running
  fileevent $ch readable [list collect $ch $name]
  after [expr {$::timeout*1000}] [list expire $ch $name]
}

proc collect {ch name} {
  global out
  append out($ch) [read $ch]
  if {[eof $ch]} { ended $ch $name }
}

proc expire {ch name} {
  append ::out($ch) "\nFAIL $name: still running after $::timeout seconds\n"
  catch {exec kill -9 -- -$::pids($ch)}
}

proc ended {ch name} {
  global out began running total
  after cancel [list expire $ch $name]
  fconfigure $ch -blocking 1
  set status ""
  if {[catch {close $ch} msg opts]} {
    set code [dict get $opts -errorcode]
    if {[lindex $code 0] eq "CHILDKILLED"} { set status "killed by [lindex $code 2]" }
  }
  set seconds [format %.1f [expr {([clock milliseconds]-$began($ch))/1000.0}]]
  if {[regexp {(?n)^result (\d+) (\d+) (\d+)$} $out($ch) line passed failed skipped]} {
    set text [string map [list $line\n ""] $out($ch)]
  } else {
    set text "$out($ch)\n"
    if {![string match "*\nFAIL $name: still running*" $text]} {
      append text "FAIL $name: ended before finish_test $status\n"
    }
    set passed [set skipped 0]
    set failed [expr {[regexp -all -line {^FAIL } $text]}]
  }
  incr total(passed) $passed
  incr total(failed) $failed
  incr total(skipped) $skipped
  set verdict [expr {$failed ? "FAILED" : $passed ? "ok" : "skipped"}]
  puts [format "%-7s %-24s %6d cases %7s s%s" $verdict $name [expr {$passed+$failed}] $seconds \
      [expr {$failed ? "  $failed failed" : ""}]]
  # What is no text would hide the rest from grep and the like.
  set text [regsub -all {[\x00-\x08\x0b-\x1f\x7f]} $text ?]
  set text [string trim [regsub -all {\n+} $text \n] \n]
  if {$text ne ""} { puts $text }
  unset out($ch)
  incr running -1
  start
  if {$running == 0} { set ::done 1 }
}

for {set i 0} {$i < $jobs} {incr i} start
vwait done
if {$total(skipped)} { puts "$total(skipped) skipped, for the reasons above" }
puts "$total(passed) passed, $total(failed) failed"
exit [expr {$total(failed) > 0}]
