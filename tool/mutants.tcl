# mutants.tcl: break the library one line at a time; a test must notice.
#
#   tclsh mutants.tcl TOPDIR SCRATCHDIR ?NAME...?
#   tclsh mutants.tcl TOPDIR -check               do all still match the source?
#
# test/mutants.txt has one block a breakage, from its name to the next:
#
#   name  crc-ignored
#   file  src/batch.c
#   old   if( crc!=p->iCrc ) return PRILL_CORRUPT;
#   new   if( 0 ) return PRILL_CORRUPT;
#   test  batch.test
#
# "old" may be given several times, for consecutive lines, and so may "new".
# The lines are matched without their indentation and must occur exactly once.
# NAMEs (globs) choose some of them.
#
# The tree is copied to SCRATCHDIR and built there.  Every named test must
# pass on the unbroken tree first.  A breakage is killed when its test fails,
# crashes or hangs; it survives when the test passes.  One that no longer
# matches the source, or does not build, is as bad as a survivor.
# The last line is "N killed, N survived"; exit 1 unless all are killed.

lassign $argv top scratch
set only [lrange $argv 2 end]
set top [file normalize $top]
set check [expr {$scratch eq "-check"}]
set scratch [file normalize $scratch]
fconfigure stdout -buffering line

# The blocks of the file, as a list of dictionaries.
proc read_mutants {path} {
  set f [open $path]
  fconfigure $f -encoding utf-8
  set all {}
  set m {}
  foreach line [concat [split [read $f] \n] [list ""]] {
    set line [string trim $line]
    if {[string match "#*" $line]} continue
    if {$line eq ""} {
      if {$m ne ""} { lappend all $m }
      set m {}
    } elseif {[regexp {^(name|file|test)\s+(.*)$} $line - key value]} {
      if {$key eq "name" && $m ne ""} {
        lappend all $m
        set m {}
      }
      if {[dict exists $m $key]} {
        puts "$path: $key $value: the block has one"
        exit 1
      }
      dict set m $key $value
    } elseif {[regexp {^(old|new)(?:\s+(.*))?$} $line - key value]} {
      dict lappend m $key $value
    } else {
      puts "$path: what is this: $line"
      exit 1
    }
  }
  close $f
  return $all
}

proc read_file {path} {
  set f [open $path]
  fconfigure $f -encoding utf-8
  set text [read $f]
  close $f
  return $text
}

proc write_file {path text} {
  set f [open $path w]
  fconfigure $f -encoding utf-8
  puts -nonewline $f $text
  close $f
}

# TEXT with the lines OLD replaced by NEW, or an error.
proc mutate {text old new} {
  set lines [split $text \n]
  set n [llength $old]
  set at {}
  for {set i 0} {$i+$n <= [llength $lines]} {incr i} {
    set same 1
    for {set k 0} {$k < $n && $same} {incr k} {
      set same [string equal [string trim [lindex $lines $i+$k]] [lindex $old $k]]
    }
    if {$same} { lappend at $i }
  }
  if {[llength $at] != 1} { error "its old text occurs [llength $at] times" }
  return [join [lreplace $lines $at $at+[expr {$n-1}] {*}$new] \n]
}

# True when the test passes.
proc run_test {test {timeout 600}} {
  set runner [file join $::scratch tree test runtests.tcl]
  set ::output ""
  return [expr {![catch {
    exec ./testfixture $runner -j 1 -timeout $timeout $test 2>@1
  } ::output]}]
}

set mutants {}
foreach m [read_mutants $top/test/mutants.txt] {
  foreach key {name file old test} {
    if {![dict exists $m $key]} { puts "mutants.txt: a block without $key: $m"; exit 1 }
  }
  if {![dict exists $m new]} { dict set m new {} }
  set wanted [expr {$only eq ""}]
  foreach p $only { if {[string match $p [dict get $m name]]} { set wanted 1 } }
  if {$wanted} { lappend mutants $m }
}

if {$check} {
  set stale {}
  foreach m $mutants {
    dict with m {}
    if {[catch {mutate [read_file $top/$file] $old $new} msg]} { lappend stale "$name: $msg" }
  }
  puts [expr {$stale eq "" ? "[llength $mutants] blocks match" : [join $stale \n]}]
  exit [expr {$stale ne ""}]
}

file delete -force $scratch/tree
file mkdir $scratch/tree $scratch/build
foreach f {configure Makefile.in src ext test tool doc README.md} {
  if {[file exists $top/$f]} { exec cp -pR $top/$f $scratch/tree/$f }
}
# What a former run broke last was put back, but its object is newer than that.
foreach m $mutants {
  set path $scratch/tree/[dict get $m file]
  if {[file exists $path]} { file mtime $path [clock seconds] }
}
cd $scratch/build
foreach v {CFLAGS LDFLAGS MAKEFLAGS MFLAGS MAKELEVEL} { unset -nocomplain env($v) }
set targets testfixture
if {[file exists ../tree/tool/prill.c]} { lappend targets prill prill.so }
if {[file exists ../tree/test/sim/groupsim.c]} { lappend targets sim/groupsim }
exec ../tree/configure --enable-debug >configure.out 2>@1
if {[regexp -line {^ALL = .* prilld} [read_file Makefile]]} { lappend targets prilld }
if {[regexp -line {^DAEMONTESTS *= *(.*)$} [read_file Makefile] - programs]} { lappend targets {*}$programs }
exec make {*}$targets >make.out 2>@1

set broken {}
foreach test [lsort -unique [lmap m $mutants {dict get $m test}]] {
  set began [clock seconds]
  set ok [run_test $test]
  # One that takes ten times as long hangs.
  set limit($test) [expr {60+10*([clock seconds]-$began)}]
  if {!$ok} {
    puts "$test fails on the unbroken tree:\n$output"
    lappend broken $test
  } elseif {[regexp -line {^skipped } $output]} {
    puts "$test is skipped here:\n$output"
    lappend broken $test
  }
}

set nKilled 0
set nSurvived 0
foreach m $mutants {
  dict with m {}
  set path $scratch/tree/$file
  set verdict survived
  if {$test in $broken} {
    set verdict "not tried: $test fails, or is skipped, anyway"
  } elseif {[catch {set text [read_file $path]; mutate $text $old $new} changed]} {
    set verdict "not tried: $changed"
  } else {
    write_file $path $changed
    if {[catch {exec make {*}$targets >make.out 2>@1}]} {
      set verdict "not tried: it does not build, see $scratch/build/make.out"
    } elseif {![run_test $test $limit($test)]} {
      set verdict killed
    }
    write_file $path $text
  }
  puts [format "%-32s %-20s %s" $name $test $verdict]
  incr [expr {$verdict eq "killed" ? "nKilled" : "nSurvived"}]
}
puts "$nKilled killed, $nSurvived survived"
exit [expr {$nSurvived > 0}]
