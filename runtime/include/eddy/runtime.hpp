// Everything of the runtime layer.
#pragma once

#include <eddy/background.hpp>
#include <eddy/coro.hpp>
#include <eddy/cron.hpp>
#include <eddy/debug.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/every.hpp>
#include <eddy/histogram.hpp>
#include <eddy/in_loop.hpp>
#include <eddy/loop_group.hpp>
#include <eddy/loop_thread.hpp>
#include <eddy/offload.hpp>
#include <eddy/progress.hpp>
#include <eddy/retry.hpp>
#include <eddy/run.hpp>
#include <eddy/signal_set.hpp>
#include <eddy/sleep.hpp>
#include <eddy/stop_token.hpp>
#include <eddy/thread_channel.hpp>
#include <eddy/thread_future.hpp>
#include <eddy/timeout.hpp>
#include <eddy/worker_pool.hpp>
