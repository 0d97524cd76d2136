// Everything of the io layer.
#pragma once

#include <eddy/buffered_reader.hpp>
#include <eddy/buffered_writer.hpp>
#include <eddy/command.hpp>
#include <eddy/endpoint.hpp>
#include <eddy/file.hpp>
#include <eddy/pipe.hpp>
#include <eddy/process.hpp>
#include <eddy/readiness.hpp>
#include <eddy/resolve.hpp>
#include <eddy/serve.hpp>
#include <eddy/stream.hpp>
#include <eddy/tcp.hpp>
