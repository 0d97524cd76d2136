// How cron expressions are read.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include <eddy/cron.hpp>

namespace eddy {

class cron_schedule::parser {
public:
    explicit parser(cron_schedule& s) noexcept : schedule_(s) {}
    void run();

private:
    struct field {
        std::string_view name;
        int least;
        int most;
        std::span<const std::string_view> words; // for the values from `least`
    };
    struct range {
        int first;
        int last;
    };
    template <std::size_t N>
    bool read(const field& f, std::string_view text, std::bitset<N>& bits);
    [[nodiscard]] range read_range(std::string_view item, bool has_step);
    [[nodiscard]] int read_value(std::string_view text);
    [[nodiscard]] int read_number(std::string_view text, std::string_view what);
    void require_possible();
    [[noreturn]] void fail(const std::string& reason) const;

    cron_schedule& schedule_;
    const field* field_ = nullptr; // being read, and its text
    std::string_view text_;
};

} // namespace eddy
