// Celery's events as they come from Redis: JSON in kombu's envelope.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/jobs/json.hpp>

namespace jobs_dashboard {

/// The events of a message on the channels celeryev/…: one, or several that a worker has sent together ("task.multi"). Each is an
/// object with a text "type". Empty for a message that is none, or larger than 4 MB.
[[nodiscard]] std::vector<eddy::jobs::json> read_events(std::string_view message);

/// Nothing for what is no base64.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

/// The pattern of these channels: Redis' channels know no databases, so kombu writes them in the names. `endpoint`: as
/// `redis::client::endpoint` gives it.
[[nodiscard]] std::string event_channels(std::string_view endpoint, std::string_view key_prefix);

} // namespace jobs_dashboard
