#include <eddy/loop_thread.hpp>

#include <cstdio>
#include <future>
#include <mutex>
#include <string>
#include <thread>

#include "loop_core.hpp"

namespace eddy {

// Shared with the thread, which outlives the loop_thread that is destroyed on it.
class loop_thread::body : public std::enable_shared_from_this<body> {
public:
    void start(const run_options& o) {
        std::promise<void> ready;
        auto is_ready = ready.get_future();
        thread_ = std::thread([self = shared_from_this(), o, r = std::move(ready)]() mutable { self->run(o, std::move(r)); });
        try {
            is_ready.get();
        } catch (...) {
            thread_.join();
            throw;
        }
    }
    void close() {
        const std::lock_guard lock(closing_); // others that close wait here
        if (!thread_.joinable()) return;
        ask(std::nullopt);
        thread_.join();
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    }
    /// Does not wait. The first grace period that was asked for counts.
    void begin_close(std::optional<std::chrono::nanoseconds> grace) {
        const std::lock_guard lock(closing_);
        if (thread_.joinable()) ask(grace);
    }
    /// On the thread itself: it ends by itself when its loop gets its turn.
    void let_go() {
        loop->stop();
        thread_.detach();
    }
    // Not by the thread's number, which a later thread can get.
    [[nodiscard]] bool on_own_thread() const noexcept { return of_this_thread == this; }

    std::unique_ptr<event_loop> loop; // stays until we go: others may ask whether it is closed

private:
    struct stop_message final : detail::remote_node {
        explicit stop_message(body& b) noexcept : remote_node(&run_it), owner(b) {}
        static void run_it(remote_node& n) { static_cast<stop_message&>(n).owner.loop->stop(); }
        body& owner;
    };
    void ask(std::optional<std::chrono::nanoseconds> grace) noexcept {
        if (std::exchange(asked_, true)) return;
        grace_ = grace;
        static_cast<void>(loop->core().mail->post(stop_)); // allocates nothing
    }
    void run(const run_options& o, std::promise<void> ready) {
        of_this_thread = this;
        try {
            loop = std::make_unique<event_loop>(loop_options{.debug = o.debug,
                                                             .engine = o.engine,
                                                             .shuffle_seed = o.shuffle_seed,
                                                             .busy_poll = o.busy_poll,
                                                             .clock = o.clock});
            loop->call_soon([&] { ready.set_value(); });
        } catch (...) {
            ready.set_exception(std::current_exception());
            return;
        }
        std::chrono::nanoseconds grace = o.grace;
        try {
            loop->run_forever();
            grace = grace_.value_or(grace);
        } catch (...) { // nobody had to ask for the end: grace_ may just be written
            error_ = std::current_exception();
        }
        try { // whatever came before: others must not wait for a loop that does not run
            loop->close(grace);
        } catch (...) {
            if (!error_) error_ = std::current_exception();
        }
    }
    std::mutex closing_;
    std::thread thread_;
    static thread_local const body* of_this_thread;
    stop_message stop_{*this};
    bool asked_ = false;
    std::optional<std::chrono::nanoseconds> grace_; // set before it is asked
    std::exception_ptr error_;
};

thread_local const loop_thread::body* loop_thread::body::of_this_thread = nullptr;

loop_thread::loop_thread(const run_options& options) : body_(std::make_shared<body>()) {
    body_->start(options);
}

loop_thread::~loop_thread() {
    try {
        if (body_->on_own_thread())
            body_->let_go();
        else
            body_->close();
    } catch (const std::exception& e) {
        std::fputs((std::string("eddy: while a loop_thread was destroyed: ") + e.what() + "\n").c_str(), stderr);
    }
}

event_loop& loop_thread::loop() noexcept {
    return *body_->loop;
}

void loop_thread::close() {
    require_other_thread();
    body_->close();
}

void loop_thread::begin_close(std::optional<std::chrono::nanoseconds> grace) {
    body_->begin_close(grace);
}

void loop_thread::require_other_thread() const {
    if (body_->on_own_thread())
        detail::throw_logic_error("loop_thread: this is the loop's own thread, which would wait for itself; use co_await here");
}

} // namespace eddy
