// What the handles of a client share: the commands that wait, those on their way, and the task that keeps the connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/operation.hpp>
#include <eddy/detail/ready_list.hpp>
#include <eddy/detail/task_context.hpp>
#include <eddy/event.hpp>
#include <eddy/redis/client.hpp>

#include "flight.hpp"
#include "link.hpp"
#include "settings.hpp"

namespace eddy::redis::detail {

class client_core;
using core_pointer = std::shared_ptr<client_core>;

// A command, or several that are sent as one, from the await to the last reply:
//
//   waiting ──► on its way ──► answered        by the connection's task
//   waiting ──► cancelled, timed out           it is in no list any more, and is never sent
//   on its way ──► cancelled, timed out        its entry in the flight queue stays, and its replies are dropped
//   on its way ──► lost                        the connection broke
//
// `wire` is the awaiting coroutine's, which needs it again when the server says "later".
class request final : public eddy::detail::leaf<request> {
public:
    request(client_core& core, std::string_view wire, loop_clock::time_point deadline) noexcept
        : core_(&core), wire_(wire), deadline_(deadline) {}
    request(client_core& core, std::string_view wire, std::size_t replies, loop_clock::time_point deadline) noexcept
        : core_(&core), wire_(wire), replies_(replies), many_(true), deadline_(deadline) {}
    request(request&&) = delete; // it is awaited where it was made

    [[nodiscard]] bool try_now() const noexcept { return false; }
    bool start();
    bool abort() noexcept override;
    /// The reply; of several, none: `take_replies` has them.
    [[nodiscard]] value take();
    [[nodiscard]] std::vector<value> take_replies() noexcept { return std::move(values_); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "redis reply"; }

    /// It was answered before, with "later": its turn is before those that have waited since.
    void set_urgent() noexcept { urgent_ = true; }
    /// The number of the connection that it was sent on.
    [[nodiscard]] std::uint64_t connection() const noexcept { return connection_; }

    eddy::detail::list_link<request> link;

private:
    friend class client_core;
    void add(value v);
    void complete() noexcept { finish(); }
    void complete(std::exception_ptr e) noexcept {
        error_ = std::move(e);
        finish();
    }

    client_core* core_;
    std::string_view wire_;
    std::size_t replies_ = 1;
    bool many_ = false;
    bool urgent_ = false;
    bool sent_ = false;
    std::uint64_t number_ = 0;     // in the flight queue, once sent
    std::uint64_t connection_ = 0;
    loop_clock::time_point deadline_;
    value single_;
    std::vector<value> values_;
    std::exception_ptr error_;
};

class client_core : public std::enable_shared_from_this<client_core> {
public:
    explicit client_core(std::shared_ptr<const settings> s) : settings_(std::move(s)) {}
    client_core(const client_core&) = delete;
    client_core& operator=(const client_core&) = delete;
    ~client_core() = default;

    /// Takes over a connection that is there, and starts the task that keeps it.
    void start_with(link_pointer l) { start_keeping(std::move(l)); }
    void close() noexcept;
    [[nodiscard]] bool is_open() const noexcept { return !closed_; }
    [[nodiscard]] statistics stats() const noexcept;
    [[nodiscard]] const std::shared_ptr<const settings>& config() const noexcept { return settings_; }

    /// Sends one command, again and again while the server says "later".
    [[nodiscard]] static task<value> send(core_pointer core, std::string wire);
    /// Sends several as one.
    [[nodiscard]] static task<std::vector<value>> send_all(core_pointer core, std::string wire, std::size_t replies);
    /// `limit`: for the server's answer; 0: none.
    [[nodiscard]] static task<value> send_blocking(core_pointer core, std::string wire, std::chrono::nanoseconds limit);
    /// A connection of one's own, for a command, or what else needs one.
    [[nodiscard]] static task<link_pointer> borrow(core_pointer core, std::string what);
    [[nodiscard]] static task<> quit(core_pointer core);

    /// A string that was used before.
    [[nodiscard]] std::string take_buffer() noexcept;
    void give_back(std::string buffer) noexcept;

private:
    friend class request;
    // what requests do
    void enqueue(request& r, eddy::detail::scheduler& loop);
    void withdraw(request& r) noexcept;
    void settle(request& r) noexcept;
    void settle(request& r, std::exception_ptr e) noexcept;
    void one_less() noexcept;
    void require_open() const;
    [[nodiscard]] loop_clock::time_point new_deadline(eddy::detail::task_context& self) const noexcept;
    [[nodiscard]] bool sends_again(const request& r, std::string_view error, loop_clock::time_point now) noexcept;

    // the task that keeps the connection
    void start_keeping(link_pointer first);
    [[nodiscard]] static task<> keep(core_pointer core, link_pointer first);
    [[nodiscard]] task<> keep_connected(link_pointer l);
    [[nodiscard]] task<> connect_and_use(link_pointer l);
    [[nodiscard]] task<> use(link& l);
    [[nodiscard]] task<> read_replies(link& l);
    [[nodiscard]] task<> write_commands(link& l);
    [[nodiscard]] task<> watch_time();
    void kept(bool broken_off) noexcept;
    void cancel_if_over() noexcept;
    void note_loss(link& l, std::exception_ptr cause) noexcept;
    void deliver(value v);
    [[nodiscard]] bool fill_batch();
    [[nodiscard]] loop_clock::time_point next_deadline() noexcept;
    void expire(loop_clock::time_point now) noexcept;
    [[nodiscard]] std::exception_ptr timeout_of(const request& r) const noexcept;
    void lose_flights() noexcept;
    template <class F>
    void fail_waiting(F error_for) noexcept;

    // blocking commands
    void put_back(link_pointer l) noexcept;
    [[nodiscard]] task<value> converse(link& l, std::string_view wire, std::chrono::nanoseconds limit, bool& sent);
    [[nodiscard]] static task<value> last_word(core_pointer core, link& l);
    [[nodiscard]] static task<std::optional<value>> rescue(core_pointer core, link_pointer& l);

    std::shared_ptr<const settings> settings_;
    eddy::detail::intrusive_list<request, &request::link> waiting_;
    flight_queue flights_;
    std::size_t live_ = 0;                  // requests in the one or the other
    std::string out_;                       // what is being written
    std::vector<std::string> spare_buffers_;
    std::vector<link_pointer> idle_;        // for blocking commands
    std::vector<link*> blocked_;            // on which one waits

    eddy::detail::scheduler* home_ = nullptr;
    cancel_scope* scope_ = nullptr;         // of the task, inside of its shield
    link* link_ = nullptr;                  // the connection, while there is one
    std::uint64_t connection_ = 0;          // its number
    std::exception_ptr loss_;               // why it ended; null: because we wanted it
    std::exception_ptr failure_;            // why there is no other one
    loop_clock::time_point connected_{};
    loop_clock::time_point heard_{};        // when something came last
    std::optional<loop_clock::time_point> renewed_; // when it was replaced because of READONLY
    event work_;                            // for the writer: there may be something to send
    event timed_;                           // for the watcher: there is a deadline
    event settled_;                         // for `quit`: nothing is left

    bool keeping_ = false;                  // the task is there
    bool closed_ = false;
    bool ending_ = false;                   // the loop shuts down: the task ends when nothing is left to do
    bool draining_ = false;                 // nothing more is sent on this connection
    bool lost_ = false;                     // it broke
    bool proven_ = false;                   // it has answered a command
    statistics counts_;
};

/// One for all copies of a client: the last copy closes it. Tasks that are under way keep the core only.
class client_handle {
public:
    explicit client_handle(core_pointer c) noexcept : core(std::move(c)) {}
    client_handle(const client_handle&) = delete;
    client_handle& operator=(const client_handle&) = delete;
    ~client_handle() { core->close(); }
    const core_pointer core;
};

} // namespace eddy::redis::detail
