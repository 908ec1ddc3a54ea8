#!/usr/bin/env bash
# A C++ compiler for MMCV's operators that takes a quarter of the time:
#
#     CXX=$PWD/tools/mmcv_cxx.sh pip install ... mmcv
#
# Each of MMCV's files reads all of torch's headers, which is most of its compilation. This is c++,
# but with GCC the headers are read once, into a precompiled header in the folder of the build. Where
# that does not work out, a file is compiled as ever.
set -u
header=torch_once.hpp

source='' options=()
arguments=("$@")
while [ $# -gt 0 ]; do
  case $1 in
    -c | -MMD) ;;
    -o | -MF) shift ;;
    *.cpp) source=$1 ;;
    *) options+=("$1") ;;
  esac
  shift
done

case " ${options[*]} " in
  *' -shared '*) rm -f build/temp.*/$header* ;; # 400 MB, which uv would keep: all files are compiled
esac
if [ -z "$source" ] || ! command -v flock >/dev/null || ! LC_ALL=C c++ --version | grep -q 'Free Software'; then
  exec c++ "${arguments[@]}"
fi
(
  flock 9 # files are compiled side by side: the others wait for the first
  if [ ! -e $header ]; then
    echo '#include <torch/types.h>' >$header
    c++ "${options[@]}" -x c++-header $header -o $header.part && mv $header.part $header.gch
  fi
) 9>$header.lock
[ -e $header.gch ] && c++ -include "$PWD/$header" "${arguments[@]}" || exec c++ "${arguments[@]}"
