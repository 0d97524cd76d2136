// Everything of the coro layer.
#pragma once

#include <eddy/cancel_scope.hpp>
#include <eddy/errors.hpp>
#include <eddy/event.hpp>
#include <eddy/future.hpp>
#include <eddy/gather.hpp>
#include <eddy/mutex.hpp>
#include <eddy/outcome.hpp>
#include <eddy/queue.hpp>
#include <eddy/race.hpp>
#include <eddy/semaphore.hpp>
#include <eddy/spawn.hpp>
#include <eddy/task.hpp>
#include <eddy/task_group.hpp>
#include <eddy/this_task.hpp>
