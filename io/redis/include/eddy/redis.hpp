// Redis: commands, pipelines, scripts, blocking commands, subscriptions. The component `redis`: find_package(eddy COMPONENTS
// redis), target eddy::redis.
#pragma once

#include <eddy/redis/client.hpp>
#include <eddy/redis/error.hpp>
#include <eddy/redis/options.hpp>
#include <eddy/redis/pipeline.hpp>
#include <eddy/redis/script.hpp>
#include <eddy/redis/session.hpp>
#include <eddy/redis/stream_entry.hpp>
#include <eddy/redis/subscription.hpp>
#include <eddy/redis/value.hpp>
