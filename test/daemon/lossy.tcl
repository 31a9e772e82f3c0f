# lossy.tcl: a proxy that loses an answer on purpose.
#
#   testfixture lossy.tcl
#
# Prints the port it listens on.  Then it is told by lines on its standard
# input: "to PORT" where to connect to, "lose N" to lose the answers of the next
# N Produce requests: such a request is passed on, its answer waited for and
# thrown away, and the connection closed.  Prints "lost" each time.  It ends
# with its input.

set to 0
set lose 0

proc accept {client host port} {
  set server [socket 127.0.0.1 $::to]
  foreach ch [list $client $server] {
    fconfigure $ch -translation binary -blocking 0 -buffering none
  }
  set ::in($client) ""
  fileevent $client readable [list request $client $server]
  fileevent $server readable [list answer $client $server]
}
proc drop {client server} {
  catch {close $client}
  catch {close $server}
  unset -nocomplain ::in($client) ::losing($server)
}

# Whole requests are passed on, so that each is seen.
proc request {client server} {
  if {[catch {read $client} bytes] || ($bytes eq "" && [eof $client])} { drop $client $server; return }
  append ::in($client) $bytes
  while {[binary scan $::in($client) IS n key]==2 && [string length $::in($client)]>=$n+4} {
    set frame [string range $::in($client) 0 $n+3]
    set ::in($client) [string range $::in($client) $n+4 end]
    if {$key==0 && $::lose>0} {
      incr ::lose -1
      set ::losing($server) 1
    }
    if {[catch {pass $server $frame}]} { drop $client $server; return }
  }
}
proc answer {client server} {
  if {[catch {read $server} bytes] || ($bytes eq "" && [eof $server])} { drop $client $server; return }
  if {[info exists ::losing($server)]} {
    puts lost
    flush stdout
    drop $client $server
  } elseif {[catch {pass $client $bytes}]} {
    drop $client $server
  }
}
proc pass {ch bytes} {
  fconfigure $ch -blocking 1
  puts -nonewline $ch $bytes
  fconfigure $ch -blocking 0
}

proc command {} {
  if {[gets stdin line]<0} { exit 0 }
  lassign $line what n
  set ::$what $n
}
fileevent stdin readable command
puts [lindex [fconfigure [socket -server accept -myaddr 127.0.0.1 0] -sockname] 2]
flush stdout
vwait forever
