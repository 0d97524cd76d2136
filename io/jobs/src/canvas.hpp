// Workflows: which messages a signature means, now. Used by clients, and by workers when a job is over.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "message.hpp"

namespace eddy::jobs::detail {

struct chord_size {
    std::string group;
    std::size_t size;
};
struct saved_group {
    std::string id;
    std::vector<std::string> members;
};

/// What is to be sent, in this order: sizes and groups, then messages.
struct plan {
    std::vector<chord_size> chords;
    std::vector<saved_group> groups;
    std::vector<message> messages;
    std::size_t sent = 0;              // so many of them
    std::vector<std::string> children; // the ids of the first of them
    std::string result;                // of the whole
    bool result_is_group = false;
};

/// Where a signature is sent from: what its messages take over.
struct origin {
    std::string queue;
    std::string root_id;
    std::string parent_id;
    std::string reply_to;
    std::string group;
    std::optional<int> group_index;
    json chain; // what follows, reversed, or null
    json chord; // body of the chord it is a part of, or null
};

/// `first`: what is put in front of its arguments unless it is immutable. Throws `malformed_message` for what is no signature.
[[nodiscard]] plan plan_signature(const json& form, const std::optional<json>& first, const origin& from);
void append_plan(plan& to, plan more);
/// The steps of a chain that will not be run: of each, where its result is waited for, and of which chord it is a part.
[[nodiscard]] std::vector<message> unreached_steps(const json& chain, const origin& from);
[[nodiscard]] message unreached_step(const json& form, const origin& from);
/// Where the result of a signature will be stored, as far as it says so; else empty.
[[nodiscard]] std::string result_id_in(const json& form);

} // namespace eddy::jobs::detail
