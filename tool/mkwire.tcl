# mkwire.tcl: from messages.tbl to C: the structs of the wire's messages, and
# the tables by which wire.c reads and writes them.
#
#   tclsh mkwire.tcl MESSAGES.TBL OUT.h OUT.c
#
# A message becomes a struct WireNAMEReq or WireNAMEResp, a struct within it
# that name and its fields' names joined, and each a table of WireField.  The
# table's form is described at the top of messages.tbl.

lassign $argv tblFile hFile cFile
set line 0
proc fail {text} {
  puts stderr "$::tblFile:$::line: $text"
  exit 1
}

# The last of the API's versions stands for "and all after it".
proc versionRange {word} {
  if {[regexp {^(\d+)\+$} $word -> lo]} { return [list $lo $::api(max)] }
  if {[regexp {^(\d+)-(\d+)$} $word -> lo hi]} { return [list $lo $hi] }
  return {}
}

# One field line as a dict.
proc parseField {text} {
  if {![regexp {^(\w+)\s+(\S+)\s*(.*)$} $text -> name type rest]} { fail "not a field: $text" }
  set f [dict create name $name type $type lo $::api(min) hi $::api(max) null 127 \
           default 0 defnull 0 tag -1 subs {}]
  set base [string map {[] {}} $type]
  if {$base ni {{} bool int8 int16 int32 int64 uuid string bytes records struct}} {
    fail "unknown type $type"
  }
  foreach word $rest {
    set range [versionRange $word]
    if {$range ne {}} {
      dict set f lo [lindex $range 0]
      dict set f hi [lindex $range 1]
    } elseif {$word eq "null"} {
      dict set f null 0
    } elseif {[regexp {^null=(\d+)\+$} $word -> v]} {
      dict set f null $v
    } elseif {$word eq "default=null"} {
      dict set f defnull 1
    } elseif {[regexp {^default=(-?\d+)$} $word -> v]} {
      dict set f default $v
    } elseif {[regexp {^tag=(\d+)$} $word -> v]} {
      dict set f tag $v
    } else {
      fail "unknown word $word"
    }
  }
  if {[dict get $f lo]>[dict get $f hi]} { fail "no version has $name" }
  if {$type eq "struct" && [dict get $f tag]<0} { fail "a struct must have a tag" }
  return $f
}

# Fields at this indentation from line number $::line on, with what is below.
proc parseFields {indent} {
  set fields {}
  while {$::line<[llength $::lines]} {
    set text [lindex $::lines $::line]
    if {![regexp {^( +)(\S.*)$} $text -> blanks body] || [string length $blanks]<$indent} break
    if {[string length $blanks]>$indent} { fail "indented too far" }
    incr ::line
    set f [parseField $body]
    if {[dict get $f type] in {[] struct}} {
      dict set f subs [parseFields [expr {$indent+2}]]
      if {[dict get $f subs] eq {}} { fail "[dict get $f name] has no fields" }
    }
    lappend fields $f
  }
  return $fields
}

proc structName {prefix field} {
  return $prefix[string toupper [string index $field 0]][string range $field 1 end]
}

proc cType {type prefix name} {
  switch -- $type {
    bool - int8 { return i8 }
    int16 { return i16 }
    int32 { return i32 }
    int64 { return i64 }
    uuid { return WireUuid }
    string { return WireStr }
    bytes - records { return WireBytes }
    {} - struct { return [structName $prefix $name] }
  }
}

# C's names for the types, in WIRE_ constants.
set eType {bool BOOL int8 INT8 int16 INT16 int32 INT32 int64 INT64 uuid UUID string STRING
  bytes BYTES records RECORDS struct STRUCT {} STRUCT}

# Emit a struct and its field table, those of inner structs first.
proc emit {prefix fields} {
  global h c eType
  set members ""
  set rows ""
  foreach f $fields {
    set name [dict get $f name]
    set type [dict get $f type]
    set array [string match {\[\]*} $type]
    set base [string range $type [expr {$array ? 2 : 0}] end]
    set sub 0
    if {[dict get $f subs] ne {}} {
      set sub &aWire[string range [emit [structName $prefix $name] [dict get $f subs]] 4 end]
    }
    set ct [cType $base $prefix $name]
    set count 0
    if {$array} {
      append members "  $ct *$name;\n  i32 n[string toupper [string index $name 0]][string range $name 1 end];\n"
      set count "offsetof($prefix, n[string toupper [string index $name 0]][string range $name 1 end])"
    } elseif {$type eq "struct"} {
      append members "  $ct *$name;\n"
    } else {
      append members "  $ct $name;\n"
    }
    append rows "  {\"$name\", WIRE_[dict get $eType $base], $array, [dict get $f lo], [dict get $f hi],\
 [dict get $f null], [dict get $f defnull], [dict get $f tag],\n   offsetof($prefix, $name), $count,\
 [dict get $f default]LL, $sub},\n"
  }
  append h "typedef struct $prefix $prefix;\nstruct $prefix {\n$members};\n"
  set short [string range $prefix 4 end]
  append c "static const WireField aField$short\[\] = {\n$rows};\n"
  append c "static const WireStruct aWire$short = {sizeof($prefix), [llength $fields], aField$short};\n"
  return $prefix
}

set f [open $tblFile]
set lines {}
foreach text [split [read $f] \n] {
  # Line numbers stay those of the file: what is not data becomes empty.
  if {[regexp {^\s*#} $text]} { set text "" }
  lappend lines [string trimright $text]
}
close $f

set head "/* Made by mkwire.tcl from messages.tbl. */\n"
set h "$head#ifndef WIRE_GEN_H\n#define WIRE_GEN_H\n"
set c "$head#include \"wire.h\"\n"
set apis ""
set enums ""
while {$line<[llength $lines]} {
  set text [lindex $lines $line]
  if {$text eq ""} { incr line; continue }
  array unset api
  if {![regexp {^api (\w+) key=(\d+) versions=(\d+)-(\d+) flexible=(\d+|none)(?: advertise=(\d+))?$} \
          $text -> api(name) api(key) api(min) api(max) api(flex) api(adv)]} {
    fail "not an api line: $text"
  }
  if {$api(adv) eq ""} { set api(adv) $api(min) }
  if {$api(flex) eq "none"} { set api(flex) 127 }
  incr line
  foreach side {request response} suffix {Req Resp} {
    if {[lindex $lines $line] ne "  $side"} { fail "expected $side" }
    incr line
    set fields [parseFields 4]
    if {$fields eq {}} {
      set api($side) 0
    } else {
      set api($side) &aWire[string range [emit Wire$api(name)$suffix $fields] 4 end]
    }
  }
  append enums "  WIRE_[string toupper [regsub -all {([a-z])([A-Z])} $api(name) {\1_\2}]] = $api(key),\n"
  append apis "  {\"$api(name)\", $api(key), $api(min), $api(max), $api(flex), $api(adv),\
 $api(request), $api(response)},\n"
  incr nApi
}
append h "enum {\n$enums};\n#define WIRE_NAPI $nApi\n#endif\n"
append c "const WireApi prilldWireApi\[WIRE_NAPI\] = {\n$apis};\n"
foreach {file text} [list $hFile $h $cFile $c] {
  set f [open $file w]
  puts -nonewline $f $text
  close $f
}
