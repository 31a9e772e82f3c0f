# errorslib.tcl: the entries of doc/errors.md, and the texts of C sources, for
# errors.test and prillderrors.test.

# The page's entries from the text FROM on ("": the beginning) to TO ("": the end).
proc errors_entries {from to} {
  set f [open $::topdir/doc/errors.md]
  fconfigure $f -encoding utf-8
  set page [read $f]
  close $f
  if {$from ne ""} { set page [string range $page [string first $from $page] end] }
  if {$to ne ""} { set page [string range $page 0 [string first $to $page]] }
  set entries {}
  foreach {- text} [regexp -all -inline {(?n)^- `((?:[^`]|\n)*)`$} $page] {
    lappend entries [regsub -all {\s*\n\s*} $text " "]
  }
  return $entries
}

# An entry as a regular expression that says it all or, within a larger text, its part.
proc entry_regexp {entry} {
  set re [regsub -all {[][\\.*+?(){}^$|]} $entry {\\&}]
  return [regsub -all {<[a-z]+>} $re {.*}]
}
# Arguments of the C call whose '(' is at I.
proc call_args {text i} {
  set args {}
  set cur ""
  set depth 0
  for {} {$i < [string length $text]} {incr i} {
    set c [string index $text $i]
    if {$c eq "\"" || $c eq "'"} {
      set j $i
      for {incr i} {[string index $text $i] ne $c} {incr i} { if {[string index $text $i] eq "\\"} { incr i } }
      append cur [string range $text $j $i]
    } elseif {$c in {( [ \x7b} && [incr depth] == 1} {
      continue
    } elseif {$c in {) ] \x7d} && [incr depth -1] == 0} {
      return [lappend args $cur]
    } elseif {$c eq "," && $depth == 1} {
      lappend args $cur
      set cur ""
    } else {
      append cur $c
    }
  }
  return $args
}
# The string literals of a C expression; neighbours are one.
proc literals {expr} {
  set found {}
  foreach group [regexp -all -inline {(?:"(?:[^"\\]|\\.)*"\s*)+} $expr] {
    set s ""
    foreach {- part} [regexp -all -inline {"((?:[^"\\]|\\.)*)"} $group] { append s $part }
    lappend found [subst -nocommands -novariables $s]
  }
  return $found
}
# A format, and an entry, with every place to fill in alike.
proc skeleton {format} {
  set format [regsub -all {%[-0-9.*]*(?:ll)?[sdczqQw]} [string map {%% \x01} $format] <>]
  return [string map {\x01 %} $format]
}
proc entry_skeleton {entry} { regsub -all {<[a-z]*>} $entry <> }
proc read_c {path} {
  set f [open $path]
  set text [read $f]
  close $f
  return [regsub -all {/\*.*?\*/} $text { }]
}
