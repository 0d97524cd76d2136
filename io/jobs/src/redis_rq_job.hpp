// RQ's job as its keys hold it. Facts: the hash rq:job:ID has the call in `data` (JSON ["module.function", null, [arguments], {named}], as
// zlib packs it) and the rest as texts; times are UTC with a Z, '' for none; how it ended is an entry of the stream rq:results:ID, with a
// base64 of the value's JSON, or of the packed traceback.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <eddy/redis/stream_entry.hpp>
#include <eddy/redis/value.hpp>

#include "message.hpp"

namespace eddy::jobs::detail::rq {

using fields = std::unordered_map<std::string, std::string>;

/// Of a reply of HGETALL.
[[nodiscard]] fields fields_in(redis::value reply);

[[nodiscard]] std::string compress(std::string_view text);
/// Nullopt for what is not compressed; throws `malformed_message` for what would be too large.
[[nodiscard]] std::optional<std::string> decompress(std::string_view bytes);
/// "2026-11-21T22:43:52.415496Z"
[[nodiscard]] std::string to_rq_time(wall_time t);

/// The hash of a job that is sent: names and values in turns. Throws `error` for what RQ's jobs have not.
[[nodiscard]] std::vector<std::string> fields_of(const message& m);
/// A job that was claimed. Throws `malformed_message` for one that was pickled, and other data that cannot be used.
[[nodiscard]] message message_in(const std::string& id, const std::string& queue, const fields& hash);

/// What a stored result (Celery's, see message.hpp) is in a stream: of a success base64, or nothing for null; else packed text.
[[nodiscard]] std::string entry_of_success(const json& stored);
[[nodiscard]] std::string entry_of_failure(const std::string& text);
/// As Python's traceback: its last line is "ValueError: ('bad thing', 42)".
[[nodiscard]] std::string failure_text(const json& stored);
/// The exception that a traceback ends with, and what it says; the text may be anything.
[[nodiscard]] json exception_in(const std::string& traceback);

/// The other way: Celery's form of a job's state. `entry`: the latest of its stream.
[[nodiscard]] json stored_of(const fields& hash, const std::optional<redis::stream_entry>& entry);

} // namespace eddy::jobs::detail::rq
