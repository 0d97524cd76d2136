# The kinds of tests that tests/CMakeLists.txt puts together.

# eddy_precompile(PROGRAM HEADER...)
# What every test includes takes longer to compile than most tests do, so each program of them does it once. (That the public
# headers include what they need is checked by eddy_add_header_test.) Not where eight sources are compiled together: there it
# costs more than it saves, and 200 MB a program.
function(eddy_precompile program)
  if(EDDY_PRECOMPILE AND NOT CMAKE_UNITY_BUILD)
    target_precompile_headers(${program} PRIVATE ${ARGN})
  endif()
endfunction()

# eddy_add_suite(NAME LIBRARIES lib... [LABELS label...] [PROGRAMS] [ENGINES] [FLOODS])
# makes eddy_NAME_tests out of NAME/*_test.cpp. Left out while there are no such files or a library is not built. PROGRAMS:
# the tests start sample programs, so these are built first, and run alone. ENGINES: run once on each engine, by NAME and
# NAME.asio. FLOODS: the tests tagged [flood] are run by NAME.flood and NAME.flood.asio, of which one runs at a time.
function(eddy_add_suite name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "PROGRAMS;ENGINES;FLOODS" "" "LIBRARIES;LABELS")
  file(GLOB sources CONFIGURE_DEPENDS ${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  foreach(library IN LISTS arg_LIBRARIES)
    if(NOT TARGET ${library})
      message(STATUS "eddy: the tests in tests/${name} are left out, for want of ${library}")
      return()
    endif()
  endforeach()
  if(TARGET eddy::http AND NOT name MATCHES "^(coro|runtime|io)$")
    list(APPEND arg_LIBRARIES eddy::http)
  endif()
  if(TARGET eddy::tls AND NOT name MATCHES "^(coro|runtime|io)$")
    list(APPEND arg_LIBRARIES eddy::tls)
  endif()
  if(TARGET eddy::redis AND name MATCHES "^(redis|jobs|interop|faults)$")
    list(APPEND arg_LIBRARIES eddy::redis)
  endif()
  if(TARGET eddy::jobs AND name MATCHES "^(docs|interop|faults)$")
    list(APPEND arg_LIBRARIES eddy::jobs)
  endif()
  list(REMOVE_DUPLICATES arg_LIBRARIES)

  set(program eddy_${name}_tests)
  add_executable(${program} ${sources})
  target_include_directories(${program} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  target_link_libraries(${program} PRIVATE ${arg_LIBRARIES} eddy_test_flags eddy_test_main)
  if(name MATCHES "^(coro|runtime)$")
    eddy_precompile(${program} <eddy/${name}.hpp> <eddy/testing.hpp>)
  else()
    eddy_precompile(${program} <eddy/eddy.hpp> <eddy/testing.hpp> $<$<STREQUAL:${name},http>:<eddy/http.hpp$<ANGLE-R>>
      $<$<STREQUAL:${name},redis>:<eddy/redis.hpp$<ANGLE-R>>)
  endif()
  set(kinds ${name})
  if(arg_FLOODS)
    list(APPEND kinds ${name}.flood)
  endif()
  if(arg_PROGRAMS AND TARGET samples)
    add_dependencies(${program} samples)
  endif()
  foreach(kind IN LISTS kinds)
    set(tests "")
    if(arg_FLOODS)
      set(tests "~[.]~[flood]")
    endif()
    if(kind MATCHES "flood$")
      set(tests "[flood]~[.]")
    endif()
    set(entries ${kind})
    if(arg_ENGINES AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
      list(APPEND entries ${kind}.asio)
    endif()
    foreach(entry IN LISTS entries)
      add_test(NAME ${entry} COMMAND ${program} ${tests} WORKING_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
      set_tests_properties(${entry} PROPERTIES TIMEOUT ${timeout} LABELS "suite;${arg_LABELS}" RUN_SERIAL ${arg_PROGRAMS})
      if(entry MATCHES "[.]asio$")
        set_tests_properties(${entry} PROPERTIES ENVIRONMENT EDDY_ENGINE=asio)
      elseif(arg_ENGINES AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
        set_tests_properties(${entry} PROPERTIES ENVIRONMENT EDDY_ENGINE=native)
      endif()
      if(kind MATCHES "flood$")
        set_tests_properties(${entry} PROPERTIES RESOURCE_LOCK loopback)
      endif()
    endforeach()
  endforeach()
endfunction()

# eddy_add_scripts(FOLDER [LABELS label...] [ENGINES name...])
# makes one entry of ctest out of each FOLDER/*.sh: tests that run the samples as a user does. The script is given the folder
# of the samples; exit status 77 means that it lacks something (see tests/lib/program.sh). ENGINES: those that are about I/O, and
# quick, are run once on each engine, by FOLDER.NAME and FOLDER.NAME.asio.
function(eddy_add_scripts folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LABELS;ENGINES")
  if(NOT TARGET samples)
    return()
  endif()
  file(GLOB scripts CONFIGURE_DEPENDS ${folder}/*.sh)
  foreach(script IN LISTS scripts)
    cmake_path(GET script STEM stem)
    add_test(NAME ${folder}.${stem} COMMAND "${script}" "${PROJECT_BINARY_DIR}/samples")
    set_tests_properties(${folder}.${stem} PROPERTIES TIMEOUT ${timeout} SKIP_RETURN_CODE 77 LABELS "script;${arg_LABELS}")
    if(stem IN_LIST arg_ENGINES AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
      set_tests_properties(${folder}.${stem} PROPERTIES ENVIRONMENT EDDY_ENGINE=native)
      add_test(NAME ${folder}.${stem}.asio COMMAND "${script}" "${PROJECT_BINARY_DIR}/samples")
      set_tests_properties(${folder}.${stem}.asio PROPERTIES TIMEOUT ${timeout} SKIP_RETURN_CODE 77 LABELS "script;${arg_LABELS}"
        ENVIRONMENT EDDY_ENGINE=asio)
    endif()
  endforeach()
endfunction()

# Every public header, included first and twice in a file of its own, compiles without a warning. A build failure is the
# test's failure: the objects are part of `all`.
function(eddy_add_header_test)
  get_property(layers GLOBAL PROPERTY EDDY_LAYERS)
  foreach(layer IN LISTS layers)
    get_target_property(headers eddy_${layer} EDDY_HEADERS)
    set(sources "")
    foreach(header IN LISTS headers)
      if(header MATCHES "/detail/")
        continue()
      endif()
      string(MAKE_C_IDENTIFIER "${header}" stem)
      set(source "${CMAKE_CURRENT_BINARY_DIR}/headers/${layer}/${stem}.cpp")
      file(CONFIGURE OUTPUT "${source}" CONTENT "#include <@header@>\n#include <@header@>\n" @ONLY)
      list(APPEND sources "${source}")
    endforeach()
    if(sources)
      add_library(eddy_headers_${layer} OBJECT ${sources})
      target_link_libraries(eddy_headers_${layer} PRIVATE eddy::${layer} eddy_warnings)
      if(layer STREQUAL "runtime")
        target_link_libraries(eddy_headers_${layer} PRIVATE eddy_asio)  # <eddy/asio.hpp>
      endif()
    endif()
  endforeach()
endfunction()

# One more entry: public headers keep third-party headers to themselves.
function(eddy_add_third_party_header_test)
  get_property(layers GLOBAL PROPERTY EDDY_LAYERS)
  set(all "")
  set(includes "")
  foreach(layer IN LISTS layers)
    get_target_property(headers eddy_${layer} EDDY_HEADERS)
    list(FILTER headers EXCLUDE REGEX "/detail/")
    list(APPEND all ${headers})
    list(APPEND includes "$<TARGET_PROPERTY:eddy_${layer},INTERFACE_INCLUDE_DIRECTORIES>")
  endforeach()
  list(JOIN all "|" all)
  add_test(NAME headers.third_party COMMAND "${CMAKE_COMMAND}"
    "-DCOMPILER=${CMAKE_CXX_COMPILER}"
    "-DINCLUDES=$<JOIN:$<REMOVE_DUPLICATES:${includes}>,|>"
    "-DHEADERS=${all}"
    "-DWORK=${CMAKE_CURRENT_BINARY_DIR}"
    -P "${CMAKE_CURRENT_SOURCE_DIR}/CheckHeaders.cmake")
  set_tests_properties(headers.third_party PROPERTIES TIMEOUT 120 LABELS compile)
endfunction()

# What must not compile, and its counterparts that must: one entry of ctest for each */no_compile/*.cpp. What the file says
# about itself is described in CheckCompile.cmake.
function(eddy_add_compile_tests)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "LIBRARIES")
  file(GLOB sources CONFIGURE_DEPENDS */no_compile/*.cpp)
  set(includes "")
  foreach(library IN LISTS arg_LIBRARIES)
    if(TARGET ${library})
      list(APPEND includes "$<TARGET_PROPERTY:${library},INTERFACE_INCLUDE_DIRECTORIES>")
    endif()
  endforeach()
  foreach(source IN LISTS sources)
    cmake_path(GET source STEM stem)
    add_test(NAME no_compile.${stem} COMMAND "${CMAKE_COMMAND}"
      "-DCOMPILER=${CMAKE_CXX_COMPILER}"
      "-DCOMPILER_ID=${CMAKE_CXX_COMPILER_ID}"
      "-DCOMPILER_VERSION=${CMAKE_CXX_COMPILER_VERSION}"
      "-DINCLUDES=$<JOIN:$<REMOVE_DUPLICATES:${includes}>,|>"
      "-DSOURCE=${source}"
      -P "${PROJECT_SOURCE_DIR}/coro/cmake/CheckCompile.cmake")
    set_tests_properties(no_compile.${stem} PROPERTIES TIMEOUT 120 LABELS compile)
  endforeach()
endfunction()

# Installs the build into a folder of its own and builds and runs the project tests/install there, three ways: by
# find_package, by pkg-config, and with eddy as a subdirectory.
function(eddy_add_install_test)
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/install/check.sh")
    return()
  endif()
  set(components "")
  foreach(component http tls redis jobs testing)
    if(TARGET eddy_${component})
      string(APPEND components " ${component}")
    endif()
  endforeach()
  add_test(NAME install COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/install/check.sh"
    "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}" "${CMAKE_CURRENT_BINARY_DIR}/install")
  set_tests_properties(install PROPERTIES TIMEOUT 600 LABELS install RUN_SERIAL ON
    ENVIRONMENT "CMAKE=${CMAKE_COMMAND};CXX=${CMAKE_CXX_COMPILER};CMAKE_GENERATOR=${CMAKE_GENERATOR};BUILD_TYPE=${CMAKE_BUILD_TYPE};COMPONENTS=${components}")
endfunction()
