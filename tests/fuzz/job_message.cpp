// Celery's messages: one that says what is wrong, or one that is the same when it was written and read again.
#include "../../io/jobs/src/message.hpp"

#include "fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eddy::jobs;
    const std::string text(fuzz::text_of(data, size));
    try {
        const detail::message m = detail::decode_message(text);
        fuzz::require(!m.task.empty() && !m.id.empty(), "a job has a task and an id");
        const detail::message again = detail::decode_message(detail::encode_message(m));
        fuzz::require(again.retries == m.retries && again.eta.has_value() == m.eta.has_value(), "what is written is read");
        fuzz::require(detail::decode_message(detail::mark_redelivered(text, 3)).deliveries == 3, "deliveries are counted");
    } catch (const malformed_message& e) {
        fuzz::require(*e.what() != '\0', "an error says what is wrong");
    }
    return 0;
}
