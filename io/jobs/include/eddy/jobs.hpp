// Jobs: functions that run in another process, or on another machine, by name. The whole component in one header.
//
//     jobs::client jc = co_await jobs::connect("redis://127.0.0.1:6379/0");
//     int five = co_await jc.call<int>("tasks.add", 2, 3);
//
//     jobs::worker w{"redis://127.0.0.1:6379/0"};
//     w.add("tasks.add", [](int a, int b) { return a + b; });
//     co_await w.serve();
//
// Over Redis both speak Celery's protocol, or RQ's, so that the other side may be Python's. `memory:` is a broker inside the process,
// `sqlite:FILE` one that lives in a file: the same program, without a server.
#pragma once

#include <eddy/jobs/binding.hpp>
#include <eddy/jobs/client.hpp>
#include <eddy/jobs/context.hpp>
#include <eddy/jobs/error.hpp>
#include <eddy/jobs/json.hpp>
#include <eddy/jobs/on_jobs.hpp>
#include <eddy/jobs/rq.hpp>
#include <eddy/jobs/schedule.hpp>
#include <eddy/jobs/signature.hpp>
#include <eddy/jobs/worker.hpp>
