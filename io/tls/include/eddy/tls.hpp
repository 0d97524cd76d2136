// TLS. The component `tls`: find_package(eddy COMPONENTS tls), target eddy::tls.
#pragma once

#include <eddy/tls_context.hpp>
#include <eddy/tls_error.hpp>
#include <eddy/tls_stream.hpp>
