# Tries to compile one file and compares the outcome with what the file says about itself, in comments at line starts:
#
#   // expect-error: REGEX    it must not compile, and the compiler's output must contain REGEX (CMake's kind); may be repeated
#   // must-compile           it must compile: the counterpart that shows what to write instead
#   // only: gcc<13, clang    the error is expected of these compilers only; the others must compile the file
#
# cmake -DCOMPILER=… -DCOMPILER_ID=GNU -DCOMPILER_VERSION=12.2 -DINCLUDES=dir|dir -DSOURCE=file.cpp -P CheckCompile.cmake

file(STRINGS "${SOURCE}" expectations REGEX "^// expect-error: ")
file(STRINGS "${SOURCE}" must_compile REGEX "^// must-compile")
file(STRINGS "${SOURCE}" only REGEX "^// only: ")
if(must_compile AND expectations)
  message(FATAL_ERROR "${SOURCE} says both must-compile and expect-error")
elseif(NOT must_compile AND NOT expectations)
  message(FATAL_ERROR "${SOURCE} says neither `// expect-error: REGEX` nor `// must-compile`")
endif()

# Is this compiler one of those that `only` names?
set(concerned TRUE)
if(only)
  set(concerned FALSE)
  if(COMPILER_ID STREQUAL "GNU")
    set(id gcc)
  elseif(COMPILER_ID MATCHES "Clang")
    set(id clang)
  else()
    set(id other)
  endif()
  string(REPLACE "// only: " "" only "${only}")
  string(REGEX REPLACE " *, *" ";" only "${only}")
  foreach(rule IN LISTS only)
    if(NOT rule MATCHES "^ *(gcc|clang) *(<|>=)? *([0-9.]*) *$")
      message(FATAL_ERROR "${SOURCE}: cannot read `only: ${rule}`; write for instance gcc, gcc<13 or clang>=16")
    endif()
    if(NOT CMAKE_MATCH_1 STREQUAL id)
      continue()
    endif()
    if("${CMAKE_MATCH_2}" STREQUAL ""
       OR (CMAKE_MATCH_2 STREQUAL "<" AND COMPILER_VERSION VERSION_LESS CMAKE_MATCH_3)
       OR (CMAKE_MATCH_2 STREQUAL ">=" AND COMPILER_VERSION VERSION_GREATER_EQUAL CMAKE_MATCH_3))
      set(concerned TRUE)
    endif()
  endforeach()
endif()

string(REPLACE "|" ";" includes "${INCLUDES}")
list(TRANSFORM includes PREPEND -I)
execute_process(
  COMMAND ${CMAKE_COMMAND} -E env LC_ALL=C ${COMPILER} -std=c++20 -fsyntax-only ${includes} "${SOURCE}"
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)

if(must_compile OR NOT concerned)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${SOURCE} must compile with ${COMPILER_ID} ${COMPILER_VERSION}, but does not:\n${output}")
  endif()
  return()
endif()

if(status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles with ${COMPILER_ID} ${COMPILER_VERSION}, but must not")
endif()
foreach(expectation IN LISTS expectations)
  string(REGEX REPLACE "^// expect-error: " "" regex "${expectation}")
  if(NOT output MATCHES "${regex}")
    message(FATAL_ERROR "${SOURCE} does not compile, as it should, but for another reason than `${regex}`:\n${output}")
  endif()
endforeach()
