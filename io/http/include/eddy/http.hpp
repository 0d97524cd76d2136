// HTTP: client and server. The component `http`: find_package(eddy COMPONENTS http), target eddy::http.
#pragma once

#include <eddy/http/access_log.hpp>
#include <eddy/http/body_reader.hpp>
#include <eddy/http/body_writer.hpp>
#include <eddy/http/byte_range.hpp>
#include <eddy/http/client.hpp>
#include <eddy/http/cookie.hpp>
#include <eddy/http/download.hpp>
#include <eddy/http/error.hpp>
#include <eddy/http/form.hpp>
#include <eddy/http/headers.hpp>
#include <eddy/http/message.hpp>
#include <eddy/http/request_error.hpp>
#include <eddy/http/request_options.hpp>
#include <eddy/http/router.hpp>
#include <eddy/http/server.hpp>
#include <eddy/http/static_files.hpp>
#include <eddy/http/streamed_response.hpp>
#include <eddy/http/websocket.hpp>
