# crashlib.tcl: scripts that die half-way, and what must be left of them.
#
#   crash_run SCRIPT ?OPTION VALUE ...?
#
# Runs SCRIPT in a child testfixture with the crash VFS armed (crashvfs.c tells
# what a crash does) and returns a dictionary:
#
#   status   crashed, done (the script ended before its crash) or error
#   ops      operations of the chosen kind the script did (status done)
#   tried    identifiers given to ack_try, in order
#   acked    those then given to ack_ok
#   output   what the child printed, its error among it
#
# Options: -op N -kind KIND -glob PATTERN -when before|after -mode power|kill
# -damage NAME -seed N -carry FILE -trace FILE are those of "crashvfs arm"; -report FILE
# (crash.report) collects what every crash did; -load FILE makes the child go
# on with what a killed one had not made durable (-carry); -boot ID is the
# kernel's boot id the child sees.
#
# The child has the parent's prill_limit, and these procedures:
#
#   ack_try ID        about to commit ID
#   ack_ok ID         its COMMIT returned without error
#   ack_commit ID ?DB?   both, round "DB eval COMMIT"
#
# It should open its database as "sqlite3 db test.db -vfs crash".  What it
# acknowledges goes to a file no VFS sees, by one write each, so the last line
# there is the last thing it knew.

proc crash_child_text {script options} {
  upvar 1 $options o
  set text "set testdir [list $::testdir]\n"
  if {[info commands prill_limit] ne ""} {
    dict for {name value} [prill_limit] { append text [list prill_limit $name $value] \n }
  }
  if {$o(-boot) ne ""} { append text [list prill_bootid $o(-boot)] \n }
  append text {
    set ::ackChannel [open crash.ack a]
    fconfigure $::ackChannel -buffering line
    proc ack_try {id} { puts $::ackChannel "try $id" }
    proc ack_ok {id} { puts $::ackChannel "ok $id" }
    proc ack_commit {id {db db}} {
      ack_try $id
      $db eval COMMIT
      ack_ok $id
    }
  }
  if {$o(-load) ne ""} { append text [list crashvfs load $o(-load)] \n }
  set arm [list crashvfs arm -report $o(-report)]
  foreach k {-op -kind -glob -when -mode -damage -seed -carry -trace} {
    if {$o($k) ne ""} { lappend arm $k $o($k) }
  }
  append text $arm \n
  append text "if {\[catch [list $script] msg\]} {\n"
  append text {  puts "$msg\n$::errorInfo"; exit 1} "\n}\n"
  append text "puts \$::ackChannel \"ops \[crashvfs opcount [list $o(-kind)]\]\"; exit 0\n"
  return $text
}

proc crash_run {script args} {
  array set o {
    -op 0 -kind any -glob "" -when before -mode power -damage auto -seed 1
    -report crash.report -carry "" -load "" -boot "" -trace ""
  }
  foreach {k v} $args {
    if {![info exists o($k)]} { error "crash_run: unknown option $k" }
    set o($k) $v
  }
  file delete -force crash.ack
  set f [open crash_child.tcl w]
  fconfigure $f -encoding utf-8
  puts -nonewline $f [crash_child_text $script o]
  close $f
  set status done
  if {[catch {exec [info nameofexecutable] -encoding utf-8 crash_child.tcl 2>@1} output opts]} {
    set code [dict get $opts -errorcode]
    set status error
    if {[lindex $code 0] eq "CHILDSTATUS" && [lindex $code 2] == 3} { set status crashed }
  }
  set r [dict create status $status ops "" tried {} acked {} output $output]
  if {[file exists crash.ack]} {
    set f [open crash.ack]
    foreach line [split [read $f] \n] {
      lassign $line what id
      switch -- $what {
        try { dict lappend r tried $id }
        ok  { dict lappend r acked $id }
        ops { dict set r ops $id }
      }
    }
    close $f
  }
  return $r
}

# The sums of a report file, as a dictionary of its numbers; "crashes" is the
# number of lines, "mode-..." and "damage-..." how many crashes were of each.
proc crash_report {{file crash.report}} {
  set sum [dict create crashes 0]
  if {![file exists $file]} { return $sum }
  set f [open $file]
  while {[gets $f line] >= 0} {
    dict incr sum crashes
    foreach {k v} $line {
      switch -- $k {
        mode - damage - kind { dict incr sum $k-$v }
        op - when - file     {}
        default              { dict incr sum $k $v }
      }
    }
  }
  close $f
  return $sum
}

# The names of damage that never happened, of those a run must exercise.
proc crash_report_missing {{file crash.report} {wanted {
  dropped stale torn reorder cross size create_lost mkdir_lost delete_undone
}}} {
  set sum [crash_report $file]
  set missing {}
  foreach k $wanted {
    if {![dict exists $sum $k] || [dict get $sum $k] == 0} { lappend missing $k }
  }
  return $missing
}
