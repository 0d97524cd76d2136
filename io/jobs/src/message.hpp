// One job as it travels: Celery's message, protocol 2, in the envelope that kombu puts around it. All brokers carry this text, so
// that a program finds the same jobs behind another URL.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/jobs/error.hpp>
#include <eddy/jobs/json.hpp>
#include <eddy/jobs/rq.hpp>

#include "text.hpp"

namespace eddy::jobs::detail {

struct message {
    std::string task;
    std::string id;
    std::string root_id;   // these are empty for null
    std::string parent_id;
    std::string group;
    std::optional<int> group_index;
    int retries = 0;
    std::optional<wall_time> eta;
    std::optional<wall_time> expires;
    std::optional<double> time_limit;      // seconds
    std::optional<double> soft_time_limit;
    bool ignore_result = false;
    std::string reply_to;
    std::string tag;    // what it is acknowledged by
    std::string queue;  // its routing key
    int priority = 0;
    int deliveries = 0; // before this one, as far as is known
    bool redelivered = false;
    json args = json::array();
    json kwargs = json::object();
    json callbacks, errbacks, chain, chord; // null or filled
    json headers = json::object();          // all of them, unknown ones too
    std::optional<rq_options> rq;           // RQ's jobs: how it is sent, or what its hash says
};

/// Throws `malformed_message`, which says what is wrong.
[[nodiscard]] message decode_message(std::string_view payload);
[[nodiscard]] std::string encode_message(const message& m);

/// The envelope of remote control, events and replies: `body` is the base64 of JSON.
[[nodiscard]] std::string encode_envelope(const json& body, json headers, std::string_view exchange, std::string_view routing_key, bool persistent);
struct envelope {
    json body;
    json headers;
};
[[nodiscard]] envelope decode_envelope(std::string_view payload);

/// A command for workers: all of them, if none are named. `reply_to`: who waits for answers, if somebody does.
[[nodiscard]] json control_message(const std::string& method, json parameters, const std::vector<std::string>& workers = {}, const std::string& ticket = {},
                                   const std::string& reply_to = {});
/// Around it; it is not for workers that read it later than `patience` from now.
[[nodiscard]] std::string control_envelope(const json& body, std::chrono::nanoseconds patience);

/// The same message with its mark that it was given out before, and how often.
[[nodiscard]] std::string mark_redelivered(const std::string& payload, int deliveries);

/// A stored result: Celery's. `result` and `traceback` as they are; `m` for the ids that go with it.
[[nodiscard]] json make_result(const message& m, std::string_view status, json result, const std::string& traceback = {}, json children = json::array());
[[nodiscard]] json make_exception(std::string_view type, json arguments, std::string_view module);
/// The exception of jobs that are dead letters: those that are revived have not run before.
inline constexpr std::string_view dead_letter_type = "DeadLetter";
[[nodiscard]] bool is_dead_text(std::string_view stored);
/// Who waits for a message that cannot be read: its id, if that can be, and if its result is not ignored; else empty.
[[nodiscard]] std::string id_of_malformed(std::string_view payload);
/// Will it not change any more?
[[nodiscard]] bool is_final(std::string_view status) noexcept;
[[nodiscard]] bool is_final_text(std::string_view stored) noexcept;

} // namespace eddy::jobs::detail
