# deps.sh: the Debian packages prill is built and tested with, and how to get
# from them to a build, for the scripts beside it to source.

# To build, and to type SQL.
build_packages="gcc libc6-dev binutils make pkg-config libsqlite3-dev liblz4-dev sqlite3"
# Compression codecs beyond LZ4: welcome, not needed.
codec_packages="libzstd-dev zlib1g-dev libsnappy-dev"
# The daemon: prilld.
daemon_packages="libuv1-dev tcl"
# To test: testfixture and its runner.
test_packages="tcl tcl-dev libsqlite3-tcl procps util-linux"

# What foreign programs the tests run prill beside, each "a test that it is
# there | its packages": welcome, not needed, since a test without its program
# is skipped and says so.
foreign_packages() {
  cat <<'END'
command -v javac            | openjdk-17-jdk-headless
command -v mvn              | maven
test -x /usr/bin/python3    | python3
/usr/bin/python3 -c "import ensurepip, pip"         | python3-venv python3-pip
/usr/bin/python3 -c "import setuptools, wheel"      | python3-setuptools python3-wheel
command -v g++              | g++
command -v node             | nodejs
command -v npm              | npm
test -f /usr/include/node/node.h -o -f /usr/local/include/node/node.h | libnode-dev
command -v go               | golang-go
END
}

# Kafka clients to test the daemon with: welcome, not needed.
client_packages="kcat librdkafka-dev"

# missing PACKAGE...: those that are not installed, or nothing.
missing() {
  for p in "$@"; do
    case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
      *" installed") ;;
      *) printf '%s ' "$p" ;;
    esac
  done
}

# install_missing WANTED NEEDED: with apt-get, as root or through sudo, never
# asking, and saying what it does.  WANTED packages are tried together with the
# NEEDED ones, and left out where they cannot be had.  Where there is no
# apt-get it does nothing: configure will name what is missing.
install_missing() {
  command -v dpkg-query >/dev/null 2>&1 || return 0
  # shellcheck disable=SC2086
  { all=$(missing $1 $2); needed=$(missing $2); }
  [ -n "$all" ] || return 0
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
    if ! sudo -n true 2>/dev/null; then
      [ -n "$needed" ] || return 0
      echo "Missing: $needed" >&2
      echo "This is not root, and sudo would ask; as root type:  apt-get install $needed" >&2
      return 1
    fi
  fi
  echo "Installing $all"
  apt_install "$all" || { [ -z "$needed" ] || apt_install "$needed"; } || {
    echo "apt-get could not install: $needed" >&2
    return 1
  }
  installed=yes
}

# install_foreign: what foreign_packages lists and is not there, each alone, so
# that one that cannot be had keeps no other away.
install_foreign() {
  command -v dpkg-query >/dev/null 2>&1 || return 0
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
    sudo -n true 2>/dev/null || return 0
  fi
  foreign_packages | while IFS='|' read -r there packages; do
    eval "$there" >/dev/null 2>&1 </dev/null && continue
    echo "Installing$packages"
    apt_install "$packages" 2>/dev/null </dev/null ||
      echo "apt-get could not install$packages; the tests that need it are skipped"
  done
}

# get_clients: the clients of tool/clients, into build/clients, while ten minutes
# last; another run goes on where this one stopped.  The tests of what is missing
# are skipped.
get_clients() {
  command -v timeout >/dev/null 2>&1 || return 0
  mkdir -p build
  echo "Getting Kafka's clients (build/clients.log)"
  timeout 600 tool/clients >build/clients.log 2>&1 </dev/null ||
    echo "clients: not done in ten minutes, or stopped" >>build/clients.log
  sed -n 's/^clients: /Without: /p' build/clients.log
}

# apt_install PACKAGES: with what apt knows, then once more after an update.
# Silent but for errors.
apt_install() {
  apt_log=$(mktemp)
  for try in now updated; do
    # shellcheck disable=SC2086
    if [ $try = now ] || $as_root apt-get -qq update >>"$apt_log" 2>&1; then
      if $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
           --no-install-recommends $1 </dev/null >>"$apt_log" 2>&1; then
        rm -f "$apt_log"
        return 0
      fi
    fi
  done
  tail -n 20 "$apt_log" >&2
  rm -f "$apt_log"
  return 1
}

# configure_build: build/Makefile, made anew when packages were installed or the
# checkout was moved.
configure_build() {
  if ! grep -qsFx "TOP      = $(pwd)" build/Makefile || [ "${installed-no}" = yes ]; then
    mkdir -p build
    echo "Configuring in build/"
    (cd build && ../configure)
  fi
}

# build_targets TARGET...: make them in build/, quietly; what make said is in
# build/make.log, and shown when it failed.
build_targets() {
  echo "Building"
  if ! make -C build -j "$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)" "$@" >build/make.log 2>&1; then
    tail -n 30 build/make.log >&2
    echo "It does not build; all that make said is in build/make.log" >&2
    return 1
  fi
}
