# What eddy needs from outside. Packages are looked for here, in the top directory, so that every folder sees them.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

find_package(fmt QUIET)
if(NOT fmt_FOUND)
  message(FATAL_ERROR "eddy: the formatting library fmt was not found (Debian: apt install libfmt-dev)")
endif()

# Standalone Asio: headers only, used by runtime's own .cpp files and by users of <eddy/asio.hpp>.
find_path(EDDY_ASIO_INCLUDE_DIR asio.hpp DOC "Folder of the standalone asio.hpp")
mark_as_advanced(EDDY_ASIO_INCLUDE_DIR)
if(NOT EDDY_ASIO_INCLUDE_DIR)
  message(FATAL_ERROR "eddy: the standalone asio.hpp was not found (Debian: apt install libasio-dev; "
                      "elsewhere set EDDY_ASIO_INCLUDE_DIR)")
endif()
add_library(eddy_asio INTERFACE)
target_include_directories(eddy_asio SYSTEM INTERFACE "${EDDY_ASIO_INCLUDE_DIR}")
target_compile_definitions(eddy_asio INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED)
if(EDDY_SANITIZE MATCHES "thread")
  # ThreadSanitizer does not see standalone fences (trap T15), and GCC warns of them. An io_context that one thread runs
  # needs none.
  target_compile_definitions(eddy_asio INTERFACE ASIO_DISABLE_FENCED_BLOCK)
endif()
target_link_libraries(eddy_asio INTERFACE Threads::Threads)

# eddy::http: libcurl for the client, the parser of Boost.Beast (headers only) for the server.
set(EDDY_HAVE_HTTP OFF)
if(NOT EDDY_HTTP STREQUAL "OFF")
  find_package(CURL QUIET)
  find_path(EDDY_BEAST_INCLUDE_DIR boost/beast/http/basic_parser.hpp DOC "Folder that holds boost/beast")
  mark_as_advanced(EDDY_BEAST_INCLUDE_DIR)
  set(_missing "")
  if(NOT CURL_FOUND)
    list(APPEND _missing "libcurl (Debian: libcurl4-openssl-dev)")
  endif()
  if(NOT EDDY_BEAST_INCLUDE_DIR)
    list(APPEND _missing "Boost.Beast (Debian: libboost-dev)")
  endif()
  list(JOIN _missing " and " _missing)
  if(NOT _missing)
    set(EDDY_HAVE_HTTP ON)
    add_library(eddy_beast INTERFACE)
    target_include_directories(eddy_beast SYSTEM INTERFACE "${EDDY_BEAST_INCLUDE_DIR}")
  elseif(EDDY_HTTP STREQUAL "AUTO")
    message(STATUS "eddy: eddy::http is left out, for want of ${_missing}")
  else()
    message(FATAL_ERROR "eddy: EDDY_HTTP=${EDDY_HTTP}, but there is no ${_missing}")
  endif()
endif()

# eddy::tls: OpenSSL.
set(EDDY_HAVE_TLS OFF)
if(NOT EDDY_TLS STREQUAL "OFF")
  find_package(OpenSSL 3 QUIET)
  if(OPENSSL_FOUND)
    set(EDDY_HAVE_TLS ON)
  elseif(EDDY_TLS STREQUAL "AUTO")
    message(STATUS "eddy: eddy::tls is left out, for want of OpenSSL 3 (Debian: libssl-dev)")
  else()
    message(FATAL_ERROR "eddy: EDDY_TLS=${EDDY_TLS}, but there is no OpenSSL 3 (Debian: libssl-dev)")
  endif()
endif()

# eddy::testing compiles without Catch2; its header, and so its users, need it.
if(EDDY_TESTING OR EDDY_BUILD_TESTS)
  find_package(Catch2 QUIET)
  if(EDDY_BUILD_TESTS AND NOT Catch2_FOUND)
    message(FATAL_ERROR "eddy: the tests need Catch2, 2.13 or 3 (Debian: apt install catch2), or -DEDDY_BUILD_TESTS=OFF")
  endif()
endif()
