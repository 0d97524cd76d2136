// Cron expressions: an error, or a schedule whose times go on.
#include <chrono>
#include <stdexcept>

#include <eddy/cron.hpp>

#include "fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace std::chrono_literals;
    using time_point = eddy::cron_schedule::time_point;
    const std::string_view text = fuzz::text_of(data, size);
    try {
        const eddy::cron_schedule s(text, eddy::cron_zone::utc);
        fuzz::require_equal(s.expression(), text, "an expression and what it is given back as");
        time_point at(1'767'225'600s);
        for (int i = 0; i < 3 && at != time_point::max(); ++i) {
            const time_point next = s.next_after(at);
            fuzz::require(next > at, "the next time is later");
            fuzz::require(next == time_point::max() || next.time_since_epoch() % 1s == 0s, "a time is a full second");
            if (next != time_point::max() && next - at > 1s) fuzz::require(s.next_after(next - 1s) == next, "there is none between two times");
            at = next;
        }
    } catch (const std::invalid_argument& e) {
        fuzz::require(*e.what() != '\0', "an error says what is wrong");
    }
    return 0;
}
