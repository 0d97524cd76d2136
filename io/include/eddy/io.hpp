// Everything of the io layer, but for <eddy/fs.hpp> and <eddy/fs_watcher.hpp>: <filesystem> takes its time to compile.
#pragma once

#include <eddy/any_stream.hpp>
#include <eddy/buffered_reader.hpp>
#include <eddy/buffered_writer.hpp>
#include <eddy/command.hpp>
#include <eddy/datagram.hpp>
#include <eddy/endpoint.hpp>
#include <eddy/file.hpp>
#include <eddy/file_lock.hpp>
#include <eddy/pipe.hpp>
#include <eddy/process.hpp>
#include <eddy/readiness.hpp>
#include <eddy/resolve.hpp>
#include <eddy/resolver_cache.hpp>
#include <eddy/send_file.hpp>
#include <eddy/serve.hpp>
#include <eddy/socket.hpp>
#include <eddy/standard_streams.hpp>
#include <eddy/stream.hpp>
#include <eddy/tcp.hpp>
#include <eddy/temp_file.hpp>
#include <eddy/udp.hpp>
#include <eddy/unix.hpp>
#include <eddy/unix_datagram.hpp>
#include <eddy/unix_endpoint.hpp>
#include <eddy/write_parts.hpp>
