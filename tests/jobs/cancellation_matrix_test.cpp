// The awaitables of jobs that wait, in the cancellation matrix; the others are in cancel_test.cpp.
#include "lib/cancellation_matrix.hpp"

#include "jobs/support.hpp"

#include "../../io/jobs/src/client_core.hpp"

#include <optional>

using namespace jobs_tests;
using matrix::promise_of;
using matrix::subject;

namespace {

class of_a_jobs_client : public subject {
protected:
    std::optional<jobs::client> c_;
    task<> prepare() override {
        static int n = 0;
        ++n;
        const std::string url = "memory:matrix-" + std::to_string(n);
        c_.emplace(co_await jobs::connect(url));
    }
    /// The job "x" is over.
    void complete() override {
        spawn([](std::shared_ptr<jobs::detail::client_core> core) -> task<> {
            co_await core->broker->store("x", R"({"status": "SUCCESS", "result": 1})", 1h);
        }, c_->core());
    }
};
class jobs_result_waits final : public of_a_jobs_client {
    task<> await_it() override { static_cast<void>(co_await c_->result<int>("x")); }
};
class jobs_call_waits final : public of_a_jobs_client {
    task<> await_it() override { static_cast<void>(co_await c_->call<int>("nobody", {.id = "x"}, 1)); }
};
class jobs_control_waits final : public of_a_jobs_client {
    task<> await_it() override { static_cast<void>(co_await c_->control("ping")); }
    void complete() override {} // its patience ends
};

const std::vector<matrix::row>& rows() {
    using matrix::of;
    constexpr promise_of by_turns{.at_once = false};
    static const std::vector<matrix::row> all{
        of<jobs_result_waits>("", "jobs::client::result", by_turns),
        of<jobs_call_waits>("", "jobs::client::call", by_turns),
        of<jobs_control_waits>("", "jobs::client::control", by_turns),
    };
    return all;
}

} // namespace

#include "lib/cancellation_matrix_tests.hpp"
