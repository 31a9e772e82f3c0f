# tidy.tcl: the house rules that a program can check.
#
#   tclsh tidy.tcl TOPDIR
#
# Every source file: at most 120 columns (tests: their data may be long; rows of
# a table on a page),
# no blanks at a line's end, no note
# left to oneself, no path of one machine.  C: at most 1,200 lines a file and
# 100 lines a function, no tabs, a header comment that says what the file is.
# Comments name only files that exist.  Tests end with finish_test.
#
# Prints one line a violation; exit 1 when there is any.

set top [file normalize [lindex $argv 0]]
set nBad 0
set nFile 0

proc bad {path line text} {
  global nBad
  incr nBad
  puts "[string range $path [string length $::top]+1 end]:$line: $text"
}

# All files below DIR that are text of ours, by name.
proc sources {dir} {
  set found {}
  foreach f [lsort [glob -nocomplain -directory $dir * .ci .gitignore]] {
    set tail [file tail $f]
    if {[file isdirectory $f]} {
      if {$tail in {build golden corpus .git} || [string match build-* $tail]} continue
      lappend found {*}[sources $f]
    } elseif {[file extension $f] in {.c .h .tcl .test .md .in .txt .sh .1}
              || $tail in {configure LICENSE .gitignore} || [file tail $dir] in {tool .ci}} {
      lappend found $f
    }
  }
  return $found
}

proc read_lines {path} {
  set f [open $path]
  fconfigure $f -encoding utf-8
  set text [read $f]
  close $f
  if {[string index $text end] eq "\n"} { set text [string range $text 0 end-1] }
  return [split $text \n]
}

# Words no file may have.  Split here, so that this file has none either.
set forbidden [list "TO\DO" "FIX\ME" "XX\X" "/wor\k/" "/ho\me/" "/ro\ot/" "/tm\p/bash"]

proc check_words {path lines} {
  set n 0
  foreach line $lines {
    incr n
    if {[string length $line] > 120 && ![string match *test/* $path]
        && !([string match *.md $path] && [string match "|*" $line])} { bad $path $n "[string length $line] columns" }
    if {[regexp {[ \t\r]$} $line]} { bad $path $n "blanks at the end" }
    foreach word $::forbidden {
      if {[string first $word $line] >= 0} { bad $path $n "\"$word\"" }
    }
  }
}

# Files named as dir/name.ext anywhere, or as name.c and name.h in C comments,
# exist.  SQLite's own files may be named.
set theirs {wal.c pager.c btree.c main.c shell.c os_unix.c vtab.c sqlite3.h sqlite3ext.h vdbe.c sqlite3.c
  malloc.h tclsqlite.c}

set refpath {(?:^|[\s("'`])((?:src|tool|test|doc|ext)/[a-z0-9_./-]*\.(?:c|h|tcl|test|md|txt))\M}
set refname {(?:^|[\s("'`])([a-z][\w-]*\.[ch])\M}

proc check_names {path lines} {
  global top names theirs refpath refname
  set n 0
  foreach line $lines {
    incr n
    foreach {- ref} [regexp -all -inline $refpath $line] {
      if {![file exists $top/$ref]} { bad $path $n "names $ref, which does not exist" }
    }
    if {[file extension $path] ni {.c .h}} continue
    if {![regexp {(/\*|^\s*\*\*|//)(.*)$} $line - - comment]} continue
    foreach {- ref} [regexp -all -inline $refname $comment] {
      if {![info exists names($ref)] && $ref ni $theirs} {
        bad $path $n "names $ref, which does not exist"
      }
    }
  }
}

proc check_c {path lines} {
  set n [llength $lines]
  if {$n > 1200} { bad $path $n "a file of $n lines: split it by noun" }
  set tail [file tail $path]
  if {[lindex $lines 0] ne "/*" || ![string match "\\*\\* $tail: ?*" [lindex $lines 1]]} {
    bad $path 1 "no header comment \"** $tail: what it is\""
  }
  set words 0
  foreach line [lrange $lines 1 end] {
    if {![string match {\*\**} $line]} break
    incr words [llength [regexp -all -inline {\S+} [string range $line 2 end]]]
  }
  if {$words < 8} { bad $path 1 "its header comment says next to nothing" }
  set n 0
  set start 0
  foreach line $lines {
    incr n
    if {[string first \t $line] >= 0} { bad $path $n "a tab" }
    # A function runs from its name, on the last line before that begins in
    # column one, to the closing brace there.
    if {[regexp {^[A-Za-z_].*?(\w+)\(} $line - f]} {
      set start $n
      set name $f
    } elseif {$start && $line eq "\}"} {
      if {$n-$start+1 > 100} { bad $path $start "${name}() has [expr {$n-$start+1}] lines" }
      set start 0
    }
  }
}

proc check_test {path lines} {
  set has 0
  foreach line $lines { if {[regexp {^\s*(finish_test|skip_file)\M} $line]} { set has 1 } }
  if {!$has} { bad $path [llength $lines] "no finish_test" }
}

set all [sources $top]
foreach f $all { set names([file tail $f]) 1 }
foreach f $all {
  incr nFile
  set lines [read_lines $f]
  check_words $f $lines
  check_names $f $lines
  if {[file extension $f] in {.c .h}} { check_c $f $lines }
  if {[file extension $f] eq ".test"} { check_test $f $lines }
}
if {$nBad} { exit 1 }
puts "tidy: $nFile files in order"
