// All of eddy but the optional components (http, tls, jobs, testing).
#pragma once

#include <eddy/coro.hpp>
#include <eddy/io.hpp>
#include <eddy/runtime.hpp>
