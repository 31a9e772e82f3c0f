# prilldlib.tcl: a fresh prilld for a test, and requests to it.
#
# A test of the daemon sources tester.tcl, then this, and says prilld_needed
# first: without a prilld the whole file is skipped.
#
#   prilld_start ?OPTION...?   on app.db and a port of its own, or on prilld(listen);
#                              its port.  prilld(program): another than prilld
#   prilld_stop ?SIGNAL?       and wait; returns its exit code, or the signal's name
#   prilld_log                 what it has logged so far
#   prilld(pid), prilld(port)  variables; prilld(prefix): a command to start it by;
#                              prilld(client): the client id of requests
#   prilld_connect             a connection (a channel)
#   rpc CHAN API VERSION ?FIELD VALUE ...?    request and answer, as dictionaries
#   rpc_send, rpc_wait         the two halves; rpc_wait's answer is {} when closed;
#                              while prilld(hold) is 1 requests gather until one is sent
#   within MS SCRIPT           1 as soon as SCRIPT is true, 0 after MS
#   prilld_rss                 its resident memory, KiB
#   prilld_lean KB LIMIT       a bound on memory: 1 when it holds
#   batch ?-OPTION VALUE ...? VALUE...        a record batch
#   produce CHAN TOPIC PART BATCH ?VERSION?   {error baseoffset}
#   run_client NAME COMMAND... what a program printed; a failure is its text
#
# Each daemon is ended by its pid when the test finishes, and by the kernel
# should this process die first.

# The time of a batch's first record: now, for older ones are dropped at once.
set batchTs [clock milliseconds]

array set prilld {
  pid 0 port 0 log {} correlation 0 hold 0 listen 0 program prilld prefix {} client test
}

proc prilld_needed {} {
  if {![file executable $::builddir/prilld]} {
    skip_file "prilld is not built: configure says why"
    return -level 2
  }
}

proc prilld_start {args} {
  global prilld
  if {$prilld(pid)} { error "there is one already" }
  set prilld(logfile) [file join [pwd] prilld.log]
  set prilld(from) [expr {[file exists $prilld(logfile)] ? [file size $prilld(logfile)] : 0}]
  set cmd [list $::builddir/$prilld(program) app.db --listen 127.0.0.1:$prilld(listen) \
             --set group.initial.rebalance.delay.ms=0 {*}$args]
  set cmd [concat $prilld(prefix) $cmd]
  if {[capable setpriv]} { set cmd [list setpriv --pdeathsig KILL {*}$cmd] }
  set prilld(chan) [open |[list {*}$cmd 2>>$prilld(logfile)] r+]
  set prilld(pid) [pid $prilld(chan)]
  for {set i 0} {$i<500} {incr i} {
    if {[regexp {listening on 127\.0\.0\.1:(\d+)} [prilld_log] -> prilld(port)]} {
      return $prilld(port)
    }
    if {![file exists /proc/$prilld(pid)]} break
    after 20
  }
  set log [prilld_log]
  prilld_stop KILL
  error "prilld did not start: $log"
}

# Since this daemon's start.
proc prilld_log {} {
  set f [open $::prilld(logfile)]
  seek $f $::prilld(from)
  set text [read $f]
  close $f
  return $text
}

# Until SCRIPT says something true: 1; 0 after MS.
proc within {ms script} {
  set end [expr {[clock milliseconds]+$ms}]
  while {[clock milliseconds]<$end} {
    if {[uplevel #0 $script]} { return 1 }
    after 20
  }
  return 0
}

proc prilld_rss {} {
  set f [open /proc/$::prilld(pid)/status]
  regexp {VmRSS:\s+(\d+)} [read $f] -> kb
  close $f
  return $kb
}

proc prilld_stop {{signal TERM}} {
  global prilld
  if {!$prilld(pid)} { return "" }
  catch {exec kill -$signal $prilld(pid)}
  set prilld(pid) 0
  set rc 0
  fconfigure $prilld(chan) -blocking 1
  if {[catch {close $prilld(chan)} msg opts]} {
    set code [dict get $opts -errorcode]
    set rc [lindex $code 2]
  }
  return $rc
}

# Whatever happens, none is left.
rename finish_test prilld_finish_test
proc finish_test {} {
  prilld_stop KILL
  prilld_finish_test
}

# -------------------------------------------------------------------------
# Requests

proc prilld_connect {} {
  set ch [socket 127.0.0.1 $::prilld(port)]
  fconfigure $ch -translation binary -buffering full
  return $ch
}

foreach api [wire apis] {
  lassign $api name key min max flex
  set wireKey($name) [list $key $flex]
}

# Bytes with their length before them.
proc frame_send {ch bytes} {
  puts -nonewline $ch [binary format I [string length $bytes]]$bytes
  if {!$::prilld(hold)} { flush $ch }
}
# The next frame, or "" when the connection was closed.
proc frame_read {ch} {
  set head [read $ch 4]
  if {[string length $head]<4} { return "" }
  binary scan $head I n
  return [read $ch $n]
}

proc rpc_send {ch api version fields} {
  lassign $::wireKey($api) key flex
  set id [incr ::prilld(correlation)]
  set client $::prilld(client)
  set head [binary format SSISa* $key $version $id [string length $client] $client]
  if {$version>=$flex} { append head \0 }
  frame_send $ch $head[wire encode $api req $version $fields]
  return $id
}

proc rpc_wait {ch api version {id ""}} {
  lassign $::wireKey($api) key flex
  set bytes [frame_read $ch]
  if {$bytes eq ""} { return {} }
  binary scan $bytes I got
  if {$id ne "" && $got!=$id} { error "answer $got to request $id" }
  set skip [expr {$version>=$flex && $api ne "ApiVersions" ? 5 : 4}]
  lassign [wire decode $api resp $version [string range $bytes $skip end]] fields used
  if {$used!=[string length $bytes]-$skip} { error "the answer is longer than it should be" }
  return $fields
}

proc rpc {ch api version args} {
  set id [rpc_send $ch $api $version $args]
  return [rpc_wait $ch $api $version $id]
}

# -codec, -ts, -producerId, ... and values.
proc batch {args} {
  set d {}
  while {[string match -* [lindex $args 0]]} {
    set args [lassign $args opt val]
    lappend d [string range $opt 1 end] $val
  }
  set ts $::batchTs
  if {[dict exists $d ts]} { set ts [dict get $d ts]; dict unset d ts }
  set records {}
  set i 0
  foreach v $args {
    lappend records [list offset $i timestamp [expr {$ts+$i}] key k$i value $v]
    incr i
  }
  return [codec batch-encode [dict merge $d [list records $records]]]
}

proc hexbytes {bytes} { return x[binary encode hex $bytes] }

proc produce {ch topic part batch {version 9} {acks -1}} {
  set res [rpc $ch Produce $version acks $acks timeoutMs 1000 topicData \
    [list [list name $topic partitionData [list [list index $part records [hexbytes $batch]]]]]]
  set p [lindex [dict get [lindex [dict get $res responses] 0] partitionResponses] 0]
  return [list [dict get $p errorCode] [dict get $p baseOffset]]
}

# {error highwatermark values} of one partition.
proc fetch {ch topic part offset args} {
  set o [dict merge {version 11 wait 0 min 1 max 50000000 partmax 1000000 epoch -1} $args]
  dict with o {}
  set res [rpc $ch Fetch $version replicaId -1 maxWaitMs $wait minBytes $min maxBytes $max sessionEpoch -1 topics \
    [list [list topic $topic partitions [list [list partition $part fetchOffset $offset currentLeaderEpoch $epoch \
      partitionMaxBytes $partmax]]]]]
  return [fetch_result $res]
}
proc fetch_result {res} {
  set p [lindex [dict get [lindex [dict get $res responses] 0] partitions] 0]
  set bytes [binary decode hex [string range [dict get $p records] 1 end]]
  set values {}
  while {[string length $bytes]} {
    binary scan $bytes @8I n
    foreach r [dict get [codec batch-decode [string range $bytes 0 $n+11]] records] {
      lappend values [dict get $r offset]:[dict get $r value]
    }
    set bytes [string range $bytes $n+12 end]
  }
  return [list [dict get $p errorCode] [dict get $p highWatermark] $values]
}

# Run a client; what it printed.
proc run_client {args} {
  if {[catch {exec timeout 60 {*}$args 2>@1} out]} { return "failed: $out" }
  return $out
}

# Is KB below LIMIT?  1, or what it is; a prilld with sanitizers takes what it likes.
proc prilld_lean {kb limit} {
  if {$kb<$limit || ![catch {exec grep -q {__[at]san_init} $::builddir/prilld}]} { return 1 }
  return $kb
}
