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
