# faultlib.tcl: every kind of fault at each call of a body, or at a sample.
#
#   do_fault NAME -prep SCRIPT -body SCRIPT -test SCRIPT
#
# Out of memory and failures of every file operation, once and for good, as
# do_faultsim_test has them.  ::testrc, ::testresult and ::testnfail tell -test
# what became of the body.
#
# do_faultsim_test over every kind of fault the body has calls for: at each
# call in fulltest, else at a sample of them, others in every case.
set mxOom [expr {[isfull] ? 1000000 : 10}]
set mxIo  [expr {[isfull] ? 1000000 : 3}]
set phase 0

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

