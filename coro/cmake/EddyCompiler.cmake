# How eddy's own code is compiled. Nothing here reaches the users of the library.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  find_program(EDDY_CCACHE ccache)
  if(EDDY_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    # What it must be allowed to overlook so that it also caches what is compiled with precompiled headers.
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND};-E;env;CCACHE_SLOPPINESS=pch_defines,time_macros;${EDDY_CCACHE}")
  endif()
endif()

# Language level of every target below this directory; the libraries also ask their users for C++20 (cxx_std_20).
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# As clang has it by default: nobody replaces a function of ours when a program starts, so those of one source may be inlined.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-fno-semantic-interposition)
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "eddy: g++ ${CMAKE_CXX_COMPILER_VERSION} is too old for C++20 coroutines; use g++ 12 or newer")
endif()

# g++ 14 dies of a coroutine of an included source whose frame holds a type of an unnamed namespace; g++ 12 does not.
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  message(STATUS "eddy: one source at a time: g++ ${CMAKE_CXX_COMPILER_VERSION} cannot compile ours together (CMAKE_UNITY_BUILD)")
  set(CMAKE_UNITY_BUILD OFF)
endif()

# Linked privately, by $<BUILD_INTERFACE:eddy_warnings>, into our libraries, tests and samples; never exported.
add_library(eddy_warnings INTERFACE)
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  target_compile_options(eddy_warnings INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>  # g++ 12 imagines it in coroutine frames
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>  # false alarms in std::string (PR 105651)
    $<$<BOOL:${EDDY_WERROR}>:-Werror>)
  if(CMAKE_UNITY_BUILD)
    # Then g++ takes every source for a header, and a type of its own in one for a mistake.
    target_compile_options(eddy_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endif()

if(EDDY_SANITIZE)
  add_compile_options(-fsanitize=${EDDY_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${EDDY_SANITIZE})
  if(EDDY_SANITIZE MATCHES "undefined")
    # Its check of virtual tables probes memory through a pipe, and takes every object for a bad one once descriptors run
    # out, which some tests are about.
    add_compile_options(-fno-sanitize-recover=undefined -fno-sanitize=vptr)
    if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      add_compile_options(-fno-sanitize=null)  # clang writes to a legally destroyed coroutine frame with it
    endif()
  endif()
endif()
