// Everything of the runtime layer.
#pragma once

#include <eddy/coro.hpp>
#include <eddy/debug.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/offload.hpp>
#include <eddy/run.hpp>
#include <eddy/sleep.hpp>
#include <eddy/timeout.hpp>
#include <eddy/worker_pool.hpp>
