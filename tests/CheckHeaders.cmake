# Do our public headers keep third-party headers to themselves? Preprocesses all of them as one source and looks at what came in. Those
# for who uses that library himself are left out: <eddy/asio.hpp>, the testing kit. JSON is in the interface of jobs. Run with
#   cmake -DCOMPILER=c++ -DINCLUDES=folder|folder|… -DHEADERS=header|header|… -DWORK=folder -P CheckHeaders.cmake
string(REPLACE "|" ";" headers "${HEADERS}")
string(REPLACE "|" ";" includes "${INCLUDES}")
list(FILTER headers EXCLUDE REGEX "^eddy/(asio|testing.*)\\.hpp$")
list(TRANSFORM headers REPLACE "(.+)" "#include <\\1>")
list(JOIN headers "\n" text)
file(WRITE "${WORK}/third_party_headers.cpp" "${text}\n")
list(TRANSFORM includes PREPEND "-I")
execute_process(
  COMMAND "${COMPILER}" -std=c++20 -M ${includes} "${WORK}/third_party_headers.cpp"
  OUTPUT_VARIABLE rule ERROR_VARIABLE errors RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "the headers do not preprocess:\n${errors}")
endif()
string(REGEX MATCHALL "[^ \n\\]+" files "${rule}")
list(FILTER files INCLUDE REGEX "include/(.*/)?(asio|fmt|boost|curl|openssl|hiredis|cereal|libxml2|glib-2\\.0)(/|\\.hpp)|sqlite3\\.h|liburing\\.h|liburing/")
if(files)
  list(JOIN files "\n  " files)
  message(FATAL_ERROR "public headers let third-party headers in:\n  ${files}")
endif()
string(REGEX MATCHALL "/eddy/[^ \n\\]+\\.hpp" ours "${rule}")
list(LENGTH ours count)
if(count LESS 50)
  message(FATAL_ERROR "only ${count} of our headers were looked at")
endif()
message(STATUS "${count} headers, and none of a third party but nlohmann-json")
