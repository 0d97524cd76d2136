# Every public header has a page in docs/reference, and is listed in its README.md; every public name is in the page of its
# header. Which names are public is said in reference_names.awk. A page is one of a header's if it has "<eddy/HEADER.hpp>" in
# it; a name is in a page if it is there as a word.
#
# cmake -DSOURCE_DIR=… -DAWK=… -P CheckReference.cmake
cmake_minimum_required(VERSION 3.25)

# What nobody writes: how the library and the standard library find it.
set(unwritten as_operation promise_type handle_type rep period is_steady swap make_error_code context core)
# Headers that declare nothing, but include others.
set(collections eddy/coro.hpp eddy/runtime.hpp eddy/io.hpp eddy/eddy.hpp eddy/http.hpp eddy/tls.hpp eddy/jobs.hpp eddy/redis.hpp)

file(GLOB_RECURSE headers "${SOURCE_DIR}/coro/include/*.hpp" "${SOURCE_DIR}/runtime/include/*.hpp" "${SOURCE_DIR}/io/include/*.hpp"
  "${SOURCE_DIR}/io/http/include/*.hpp" "${SOURCE_DIR}/io/tls/include/*.hpp" "${SOURCE_DIR}/io/redis/include/*.hpp"
  "${SOURCE_DIR}/io/jobs/include/*.hpp")
list(FILTER headers EXCLUDE REGEX "/detail/")
file(GLOB pages "${SOURCE_DIR}/docs/reference/*.md")
list(FILTER pages EXCLUDE REGEX "/README\\.md$")

# Semicolons and brackets would make lists of something else.
function(read_text file result)
  file(READ "${file}" text)
  string(REGEX REPLACE "[][;]" " " text "${text}")
  set(${result} " ${text} " PARENT_SCOPE)
endfunction()

set(missing "")
read_text("${SOURCE_DIR}/docs/reference/README.md" index)
foreach(header IN LISTS headers)
  string(REGEX REPLACE ".*/include/" "" include "${header}")
  string(FIND "${index}" "<${include}>" place)
  if(place EQUAL -1)
    list(APPEND missing "<${include}> is not in docs/reference/README.md")
  endif()
  string(MAKE_C_IDENTIFIER "${include}" id)
  set(text_${id} "")
endforeach()

# --- which pages are whose
foreach(page IN LISTS pages)
  read_text("${page}" text)
  foreach(header IN LISTS headers)
    string(REGEX REPLACE ".*/include/" "" include "${header}")
    string(FIND "${text}" "<${include}>" place)
    if(NOT place EQUAL -1)
      string(MAKE_C_IDENTIFIER "${include}" id)
      string(APPEND text_${id} "${text}")
    endif()
  endforeach()
endforeach()
foreach(header IN LISTS headers)
  string(REGEX REPLACE ".*/include/" "" include "${header}")
  string(MAKE_C_IDENTIFIER "${include}" id)
  if(text_${id} STREQUAL "" AND NOT include IN_LIST collections)
    list(APPEND missing "<${include}> has no page")
  endif()
endforeach()

# --- names
execute_process(COMMAND "${AWK}" -f "${CMAKE_CURRENT_LIST_DIR}/reference_names.awk" ${headers}
  OUTPUT_VARIABLE names OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" names "${names}")
list(LENGTH names count)
if(count LESS 1000)
  message(FATAL_ERROR "reference_names.awk found ${count} public names only: it does not understand the headers any more")
endif()
foreach(line IN LISTS names)
  string(REGEX MATCH "^([^\t]*)\t([^\t]*)\t(.*)$" line "${line}")
  set(include "${CMAKE_MATCH_1}")
  set(within "${CMAKE_MATCH_2}")
  set(name "${CMAKE_MATCH_3}")
  string(MAKE_C_IDENTIFIER "${include}" id)
  if(name IN_LIST unwritten OR text_${id} STREQUAL "")
    continue()
  endif()
  if(NOT text_${id} MATCHES "[^A-Za-z_0-9]${name}[^A-Za-z_0-9]")
    list(APPEND missing "${within}::${name} (<${include}>)")
  endif()
endforeach()

list(REMOVE_DUPLICATES missing)
if(missing)
  list(JOIN missing "\n  " missing)
  message(FATAL_ERROR "docs/reference is not complete:\n  ${missing}")
endif()
