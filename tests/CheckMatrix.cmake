# Every awaitable of the library is cancelled in every way by a test. Operations have a row in a cancellation matrix
# (tests/*/cancellation_matrix_test.cpp), and so have verbs: public functions that return a task. What is cancelled elsewhere
# is named here, with the file that does it.
#
# cmake -DSOURCE_DIR=… -P CheckMatrix.cmake
cmake_minimum_required(VERSION 3.25)

# Bases, which are awaited only through what derives from them.
set(bases leaf queued queued_operation wait_base next_base join_operation_base incoming_operation outgoing_operation channel_operation
  shared_mutex_wait generator_awaiter)

# verb=file: the tests of its cancellation are there.
set(elsewhere
  add=tests/io/fs_watcher_test.cpp
  append=tests/io/file_cancel_test.cpp
  allocate=tests/io/file_cancel_test.cpp
  advise=tests/io/file_cancel_test.cpp
  datasync=tests/io/file_cancel_test.cpp
  exists=tests/io/file_cancel_test.cpp
  last_write_time=tests/io/file_cancel_test.cpp
  open=tests/io/file_cancel_test.cpp
  read=tests/io/file_cancel_test.cpp
  read_at=tests/io/file_cancel_test.cpp
  read_file=tests/io/file_cancel_test.cpp
  size=tests/io/file_cancel_test.cpp
  sync=tests/io/file_cancel_test.cpp
  truncate=tests/io/file_cancel_test.cpp
  write=tests/io/file_cancel_test.cpp
  write_at=tests/io/file_cancel_test.cpp
  write_file=tests/io/file_cancel_test.cpp
  write_parts=tests/io/write_parts_test.cpp
  resolve=tests/io/resolve_test.cpp
  resolve_name=tests/io/resolve_test.cpp
  read_exactly=tests/io/cancel_rigs.cpp
  read_line=tests/io/buffered_reader_test.cpp
  read_to_end=tests/io/buffered_reader_test.cpp
  read_until=tests/io/cancel_rigs.cpp
  read_some=tests/io/cancel_rigs.cpp
  write_file_atomically=tests/io/file_cancel_test.cpp
  create=tests/io/file_cancel_test.cpp
  try_lock=tests/io/file_cancel_test.cpp
  open_unnamed=tests/io/file_cancel_test.cpp
  keep=tests/io/temp_file_test.cpp
  splice=tests/io/splice_test.cpp
  splice_some=tests/io/splice_test.cpp
  status=tests/io/fs_test.cpp
  symlink_status=tests/io/fs_test.cpp
  is_directory=tests/io/fs_test.cpp
  is_regular_file=tests/io/fs_test.cpp
  is_symlink=tests/io/fs_test.cpp
  is_empty=tests/io/fs_test.cpp
  file_size=tests/io/fs_test.cpp
  equivalent=tests/io/fs_test.cpp
  copy_symlink=tests/io/fs_test.cpp
  relative=tests/io/fs_test.cpp
  proximate=tests/io/fs_test.cpp
  create_directory=tests/io/fs_test.cpp
  create_directories=tests/io/fs_test.cpp
  remove=tests/io/fs_test.cpp
  remove_all=tests/io/fs_test.cpp
  rename=tests/io/fs_test.cpp
  copy_file=tests/io/fs_test.cpp
  copy=tests/io/fs_test.cpp
  read_symlink=tests/io/fs_test.cpp
  create_symlink=tests/io/fs_test.cpp
  create_hard_link=tests/io/fs_test.cpp
  resize_file=tests/io/fs_test.cpp
  permissions=tests/io/fs_test.cpp
  canonical=tests/io/fs_test.cpp
  weakly_canonical=tests/io/fs_test.cpp
  absolute=tests/io/fs_test.cpp
  current_path=tests/io/fs_test.cpp
  list=tests/io/fs_test.cpp
  temp_directory_path=tests/io/fs_test.cpp
  space=tests/io/fs_test.cpp
  communicate=tests/io/process_test.cpp
  run_process=tests/io/process_test.cpp
  run=tests/io/process_pool_cancel_test.cpp
  map=tests/io/process_pool_cancel_test.cpp
  start=tests/io/process_pool_cancel_test.cpp
  stop=tests/io/process_test.cpp
  serve=tests/io/serve_test.cpp
  join=tests/io/serve_test.cpp
  shutdown=tests/io/serve_test.cpp
  listen=tests/http/server_life_test.cpp
  tcp_listen=tests/io/tcp_listen_test.cpp
  request=tests/http/client_life_test.cpp
  get=tests/http/client_life_test.cpp
  stream=tests/http/stream_test.cpp
  request_stream=tests/http/stream_test.cpp
  read_all=tests/http/stream_test.cpp
  upload=tests/http/upload_test.cpp
  download=tests/http/download_test.cpp
  load_cookies=tests/http/cookies_test.cpp
  save_cookies=tests/http/cookies_test.cpp
  blocking_command=tests/redis/reconnect_test.cpp
  blpop=tests/redis/reconnect_test.cpp
  brpop=tests/redis/server_test.cpp
  blmove=tests/redis/server_test.cpp
  send=tests/jobs/cancel_test.cpp
  results=tests/jobs/cancel_test.cpp
  group_members=tests/jobs/cancel_test.cpp
  forget=tests/jobs/cancel_test.cpp
  revoke=tests/jobs/cancel_test.cpp
  queued=tests/jobs/cancel_test.cpp
  purge=tests/jobs/cancel_test.cpp
  dead_letters=tests/jobs/cancel_test.cpp
  revive=tests/jobs/cancel_test.cpp
  wait_ready=tests/jobs/cancel_test.cpp
  retry=tests/runtime/retry_test.cpp
  background=tests/runtime/background_test.cpp
  background_map=tests/runtime/background_test.cpp
  background_map_outcomes=tests/runtime/background_test.cpp
  with_stop_token=tests/runtime/stop_token_test.cpp
  with_timeout=tests/runtime/timeout_test.cpp
  move_on_after=tests/runtime/timeout_test.cpp
  with_scope=tests/coro/cancel_scope_nesting_test.cpp
  with_shield=tests/coro/cancel_scope_nesting_test.cpp
  shielded=tests/coro/cancel_scope_nesting_test.cpp
  with_supervisor_group=tests/coro/supervisor_group_test.cpp
  advance=tests/runtime/testing_test.cpp
  expect_checkpoint=tests/runtime/testing_test.cpp)
# Parts of these verbs, and other names for them; the sequencer's call operator, which testing_sequencer_test.cpp cancels.
set(parts enlarge call_in_process run_as_job stop_within close_within operator read_and_call forward send_part end fill pass end_within wait_until handle run_server accept_from start_on until_room until_turn after_failure run_task
  offload_limited head post put patch del send_file_by_kernel send_file_by_copy splice_by_kernel splice_by_copy create_like nothing
  run await_json run_plain typed_result call_json wait_json send_json write_own write_text write_text_at until_ended drain write_one_by_one write_to)

file(GLOB_RECURSE headers "${SOURCE_DIR}/coro/include/*.hpp" "${SOURCE_DIR}/runtime/include/*.hpp" "${SOURCE_DIR}/io/include/*.hpp"
  "${SOURCE_DIR}/io/http/include/*.hpp" "${SOURCE_DIR}/io/tls/include/*.hpp" "${SOURCE_DIR}/io/redis/include/*.hpp"
  "${SOURCE_DIR}/io/jobs/include/*.hpp")
file(GLOB tables "${SOURCE_DIR}/tests/*/cancellation_matrix_test.cpp")
set(rows "")
foreach(table IN LISTS tables)
  file(READ "${table}" text)
  string(APPEND rows "${text}")
endforeach()

set(missing "")

# --- operations: classes that derive from one
set(bases_regex "leaf<|queued<|channel_operation<|(queued_|incoming_|outgoing_|join_)?operation(_base)?[ ,{]|wait_base|next_base|shared_mutex_wait|generator_awaiter")
foreach(header IN LISTS headers)
  file(STRINGS "${header}" classes REGEX "^ *(class|struct) .*[a-z_0-9]+( final)? : .*{")
  foreach(line IN LISTS classes)
    string(REGEX REPLACE "\\[\\[.*\\]\\] " "" line "${line}")
    if(NOT line MATCHES "(class|struct) ([a-z_0-9]+)( final)? : (.*)")
      continue()
    endif()
    set(name ${CMAKE_MATCH_2})
    set(from "${CMAKE_MATCH_4}")
    if(NOT from MATCHES "${bases_regex}" OR from MATCHES "intrusive_list" OR name IN_LIST bases)
      continue()
    endif()
    string(FIND "${rows}" "\"${name}\"" place)
    if(place EQUAL -1)
      list(APPEND missing "${name} (${header})")
    endif()
  endforeach()
endforeach()

# --- verbs: public functions that return a task
foreach(header IN LISTS headers)
  if(header MATCHES "/detail/")
    continue()
  endif()
  file(READ "${header}" text)
  string(REGEX REPLACE "// --- implementation.*" "" text "${text}")
  string(REGEX REPLACE "//[^\n]*" "" text "${text}")
  string(REPLACE ";" "!" text "${text}")
  string(REGEX MATCHALL "\n *(static |virtual )?task<[^(!{}]*> [a-z_]+\\(" direct "${text}")
  string(REGEX MATCHALL "auto [a-z_]+\\([^!{}]*-> *(detail::hazard_t<)?task<" arrow "${text}")
  foreach(found IN LISTS direct arrow)
    if(found MATCHES "auto ([a-z_]+)\\(" OR found MATCHES "> ([a-z_]+)\\($")
      set(verb ${CMAKE_MATCH_1})
    else()
      continue()
    endif()
    if(verb IN_LIST parts OR rows MATCHES "[\":]${verb}[\"(, ]")
      continue()
    endif()
    set(known "${elsewhere}")
    list(FILTER known INCLUDE REGEX "^${verb}=")
    set(proof "")
    if(known)
      string(REGEX REPLACE "^[^=]*=" "" file "${known}")
      if(EXISTS "${SOURCE_DIR}/${file}")
        file(READ "${SOURCE_DIR}/${file}" proof)
      endif()
    endif()
    if(NOT proof MATCHES "${verb}" OR NOT proof MATCHES "cancel")
      list(APPEND missing "${verb} (${header})")
    endif()
  endforeach()
endforeach()

list(REMOVE_DUPLICATES missing)
if(missing)
  list(JOIN missing "\n  " missing)
  message(FATAL_ERROR "these awaitables are in no cancellation matrix (tests/*/cancellation_matrix_test.cpp):\n  ${missing}")
endif()
