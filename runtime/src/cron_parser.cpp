#include "cron_parser.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

namespace eddy {
namespace {

using namespace std::string_view_literals;

constexpr std::array month_names = {"jan"sv, "feb"sv, "mar"sv, "apr"sv, "may"sv, "jun"sv,
                                    "jul"sv, "aug"sv, "sep"sv, "oct"sv, "nov"sv, "dec"sv};
constexpr std::array weekday_names = {"sun"sv, "mon"sv, "tue"sv, "wed"sv, "thu"sv, "fri"sv, "sat"sv};
constexpr std::array<int, 13> longest_month = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

constexpr std::array<std::array<std::string_view, 2>, 7> macros = {{{"@yearly", "0 0 1 1 *"},
                                                                    {"@annually", "0 0 1 1 *"},
                                                                    {"@monthly", "0 0 1 * *"},
                                                                    {"@weekly", "0 0 * * 0"},
                                                                    {"@daily", "0 0 * * *"},
                                                                    {"@midnight", "0 0 * * *"},
                                                                    {"@hourly", "0 * * * *"}}};

char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_word(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    for (;;) {
        const std::size_t begin = text.find_first_not_of(" \t");
        if (begin == std::string_view::npos) return words;
        const std::size_t end = std::min(text.find_first_of(" \t", begin), text.size());
        words.push_back(text.substr(begin, end - begin));
        text.remove_prefix(end);
    }
}

} // namespace

void cron_schedule::parser::fail(const std::string& reason) const {
    if (!field_) throw std::invalid_argument(fmt::format("cron \"{}\": {}", schedule_.expression_, reason));
    throw std::invalid_argument(
        fmt::format("cron \"{}\": {} field \"{}\": {}", schedule_.expression_, field_->name, text_, reason));
}

void cron_schedule::parser::run() {
    std::vector<std::string_view> words = words_of(schedule_.expression_);
    if (words.size() == 1 && words[0].front() == '@') {
        const auto macro =
            std::find_if(macros.begin(), macros.end(), [&](const auto& m) { return same_word(m[0], words[0]); });
        if (macro == macros.end())
            fail("there is no such name; there are @yearly, @annually, @monthly, @weekly, @daily, @midnight and "
                 "@hourly");
        words = words_of((*macro)[1]);
    }
    if (words.size() != 5 && words.size() != 6) {
        fail(fmt::format(
            "it has {} field{}; expected are 5 (minute, hour, day, month, weekday), or 6 with seconds first",
            words.size(), words.size() == 1 ? "" : "s"));
    }
    const std::size_t at = words.size() - 5;
    if (at == 1)
        read({"second", 0, 59, {}}, words[0], schedule_.seconds_);
    else
        schedule_.seconds_.set(0);
    read({"minute", 0, 59, {}}, words[at], schedule_.minutes_);
    schedule_.every_hour_ = read({"hour", 0, 23, {}}, words[at + 1], schedule_.hours_);
    schedule_.every_day_ = read({"day", 1, 31, {}}, words[at + 2], schedule_.days_);
    read({"month", 1, 12, month_names}, words[at + 3], schedule_.months_);
    std::bitset<8> weekdays;
    schedule_.every_weekday_ = read({"weekday", 0, 7, weekday_names}, words[at + 4], weekdays);
    for (std::size_t d = 0; d < weekdays.size(); ++d) {
        if (weekdays[d]) schedule_.weekdays_.set(d % 7);
    }
    require_possible();
}

/// True if the field begins with `*`.
template <std::size_t N>
bool cron_schedule::parser::read(const field& f, std::string_view text, std::bitset<N>& bits) {
    field_ = &f;
    text_ = text;
    for (std::string_view rest = text;;) {
        const std::size_t comma = rest.find(',');
        const std::string_view item = rest.substr(0, comma);
        const std::size_t slash = item.find('/');
        const bool has_step = slash != std::string_view::npos;
        const range r = read_range(item.substr(0, slash), has_step);
        int step = 1;
        if (has_step) step = read_number(item.substr(slash + 1), "step");
        if (step == 0) fail("a step of 0 leads nowhere");
        if (step > f.most - f.least + 1) fail(fmt::format("the step {} is larger than the field", step));
        for (int v = r.first; v <= r.last; v += step) bits.set(static_cast<std::size_t>(v));
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    field_ = nullptr;
    return text.front() == '*';
}

cron_schedule::parser::range cron_schedule::parser::read_range(std::string_view item, bool has_step) {
    const bool weekday = field_->words.data() == weekday_names.data();
    if (item.empty()) fail("a value is missing");
    if (item == "*") return {field_->least, weekday ? 6 : field_->most}; // 7 is 0 again, and `*/2` must not meet it
    const std::size_t dash = item.find('-');
    const int first = read_value(item.substr(0, dash));
    if (dash == std::string_view::npos)
        return {first, has_step ? (weekday ? std::max(first, 6) : field_->most) : first};
    int last = read_value(item.substr(dash + 1));
    if (weekday && last == 0 && first > 0) last = 7; // fri-sun
    if (first > last) fail(fmt::format("the range {} runs backwards", item));
    return {first, last};
}

int cron_schedule::parser::read_value(std::string_view text) {
    const auto word = std::find_if(field_->words.begin(), field_->words.end(),
                                   [&](std::string_view w) { return same_word(w, text); });
    if (word != field_->words.end()) return field_->least + static_cast<int>(word - field_->words.begin());
    const int v = read_number(text, "value");
    if (v < field_->least || v > field_->most) fail(fmt::format("{} is not in {}-{}", v, field_->least, field_->most));
    return v;
}

int cron_schedule::parser::read_number(std::string_view text, std::string_view what) {
    if (text.empty()) fail(fmt::format("a {} is missing", what));
    int v = 0;
    const char* const end = text.data() + text.size();
    const std::from_chars_result r = std::from_chars(text.data(), end, v);
    if (r.ec == std::errc::result_out_of_range) fail(fmt::format("{} is too large", text));
    if (r.ec != std::errc{} || r.ptr != end || text.front() == '-') fail(fmt::format("\"{}\" is not a {}", text, what));
    return v;
}

// Only months that are too short can make a schedule impossible: with both day fields restricted, a weekday will do.
void cron_schedule::parser::require_possible() {
    if (schedule_.every_day_ || !schedule_.every_weekday_) return;
    for (std::size_t month = 1; month < longest_month.size(); ++month) {
        for (std::size_t day = 1; day <= static_cast<std::size_t>(longest_month[month]); ++day) {
            if (schedule_.months_[month] && schedule_.days_[day]) return;
        }
    }
    fail("no month of it has such a day");
}

} // namespace eddy
