// The JSON of jobs: arguments, results and headers are nlohmann's.
#pragma once

#include <nlohmann/json.hpp>

namespace eddy::jobs {

/// Integers of 64 bits are exact; longer ones become the nearest double. What is not UTF-8 is replaced when it is written.
using json = nlohmann::json;

} // namespace eddy::jobs
