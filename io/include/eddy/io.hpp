// Everything of the io layer, but what needs <filesystem>: <eddy/fs.hpp>, <eddy/fs_watcher.hpp>.
#pragma once

#include <eddy/buffered_reader.hpp>
#include <eddy/buffered_writer.hpp>
#include <eddy/endpoint.hpp>
#include <eddy/file.hpp>
#include <eddy/file_lock.hpp>
#include <eddy/readiness.hpp>
#include <eddy/resolve.hpp>
#include <eddy/send_file.hpp>
#include <eddy/serve.hpp>
#include <eddy/stream.hpp>
#include <eddy/tcp.hpp>
#include <eddy/temp_file.hpp>
