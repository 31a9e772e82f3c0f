# faultsim_io.tcl: the fault VFS's kinds for do_faultsim_test.
#
# Sourced by the command faultvfs_register.  Registers KIND-transient and
# KIND-persistent for every kind of "faultvfs kinds": read, short-read, write,
# full, sync, truncate, open, delete, access, filesize, mkdir, dirsync,
# rawopen, mmap.  While a loop over one of them runs, "fault" is the default VFS, so -prep opens its
# databases as ever.
#
# A short read of a database file is to SQLite a page never written, hence
# "no fault": that kind is confined to log directories.
#
# faultsim_met(KIND) is set for each kind that was injected at least once.

proc faultvfs_sim_arm {kind persistent n} {
  set ::faultsim_armed $kind
  set options {}
  if {$persistent} { lappend options -persistent }
  if {$kind eq "short-read"} { lappend options -glob *-log/* }
  faultvfs arm $kind $n {*}$options
}

proc faultvfs_sim_disarm {} {
  set n [faultvfs hits]
  faultvfs disarm
  if {$n} { set ::faultsim_met($::faultsim_armed) 1 }
  return $n
}

foreach kind [faultvfs kinds] {
  foreach {word persistent} {transient 0 persistent 1} {
    faultsim_register $kind-$word [list faultvfs_sim_arm $kind $persistent] \
        faultvfs_sim_disarm {faultvfs default 1} {faultvfs default 0}
  }
}
unset kind word persistent

# do_faultsim_test over every kind of fault the body has calls for: at each
# call in fulltest, else at a sample of them, others in every case.
set ::mxOom [expr {[isfull] ? 1000000 : 10}]
set ::mxIo  [expr {[isfull] ? 1000000 : 3}]
set ::phase 0

proc sample_arm {arm first step n} {
  {*}$arm [expr {$first + ($n-1)*$step}]
}

proc do_fault {name args} {
  array set o {-prep {} -body {} -test {}}
  array set o $args
  # Once without a fault, counting calls.
  faultvfs default 1
  uplevel #0 $o(-prep)
  faultvfs disarm
  malloc_fail 0
  set ::testrc [catch {uplevel #0 $o(-body)} ::testresult]
  set calls(oom) [malloc_count]
  foreach kind [faultvfs kinds] { set calls($kind) [faultvfs count $kind] }
  set ::testnfail 0
  do_test $name.none "$o(-test)\nset result {}" {}
  db_close_all
  faultvfs default 0
  if {$::tester(verbose)} { puts "     $name: [array get calls]" }
  foreach kind [lsort [array names calls]] {
    if {$calls($kind) == 0} continue
    foreach word {transient persistent} {
      set most [expr {$kind eq "oom" ? $::mxOom : $::mxIo}]
      set step [expr {max(1, $calls($kind)/$most)}]
      set first [expr {1 + ([incr ::phase]*7)%$step}]
      set saved $::faultsim($kind-$word)
      lset ::faultsim($kind-$word) 0 [list sample_arm [lindex $saved 0] $first $step]
      do_faultsim_test $name -faults $kind-$word {*}$args
      set ::faultsim($kind-$word) $saved
    }
  }
}
