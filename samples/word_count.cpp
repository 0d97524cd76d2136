// word_count: counts the words of files, each in a process of its own.
//
//     word_count [--workers N] [--memory MEGABYTES] [--seconds S] FILE…
//
// Files come from anywhere: one may be huge, one may crash the code that reads it, one may keep it busy for ever. So each is read in a
// worker of a `process_pool`, with a limit of memory and of time. What goes wrong with a file is a line on stderr, and the others are counted.
// A file that begins with "CRASH" or "HANG" does that to the reader, as a stand-in for the bug that nobody has found yet.
#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <eddy/process_pool.hpp>
#include <eddy/run.hpp>
#include <eddy/task_group.hpp>

#include "number.hpp"

namespace {

using words = std::map<std::string, long>;

// Runs in a worker; its result, a map, travels back. It knows nothing of loops and tasks.
words count_words(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot be opened");
    words found;
    long so_far = 0;
    for (std::string word; file >> word;) {
        if (so_far == 0 && word == "CRASH") std::abort();
        if (so_far == 0 && word == "HANG") {
            for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
        }
        std::erase_if(word, [](unsigned char c) { return std::isalnum(c) == 0; });
        std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        if (!word.empty()) ++found[word];
        if (++so_far % 100'000 == 0) eddy::this_call::log(path + ": " + std::to_string(so_far) + " words so far");
    }
    return found;
}

struct arguments {
    std::size_t workers = 0;
    eddy::call_options call;
    std::vector<std::string> files;
};

struct totals {
    words found;
    int files = 0;
    int failed = 0;
};

eddy::task<> count_file(eddy::process_pool& pool, const arguments& a, const std::string& path, totals& all) {
    std::string wrong;
    try {
        const words here = co_await pool.run(a.call, count_words, path);
        for (const auto& [word, n] : here) all.found[word] += n;
        ++all.files;
        co_return;
    } catch (const eddy::worker_died& e) {
        wrong = "its reader died: " + e.status().to_string();
    } catch (const eddy::timeout_error&) {
        wrong = "took too long";
    } catch (const eddy::memory_limit_error&) {
        wrong = "takes too much memory";
    } catch (const std::exception& e) { // what the function threw
        wrong = e.what();
    }
    ++all.failed;
    std::fprintf(stderr, "%s: %s\n", path.c_str(), wrong.c_str());
}

eddy::task<int> count_all(arguments a) {
    eddy::process_pool pool(a.workers);
    totals all;
    auto each = [&](eddy::task_group& g) -> eddy::task<> {
        for (const std::string& path : a.files) g.spawn(count_file, std::ref(pool), std::cref(a), std::cref(path), std::ref(all));
        co_return;
    };
    co_await eddy::with_task_group(each);
    co_await pool.close();
    std::vector<std::pair<std::string, long>> order(all.found.begin(), all.found.end());
    std::sort(order.begin(), order.end(), [](const auto& x, const auto& y) { return std::tie(y.second, x.first) < std::tie(x.second, y.first); });
    if (order.size() > 10) order.resize(10);
    for (const auto& [word, n] : order) std::printf("%7ld %s\n", n, word.c_str());
    std::printf("%d files counted, %d not\n", all.files, all.failed);
    co_return all.failed == 0 ? 0 : 1;
}

bool read_arguments(int argc, char** argv, arguments& a) {
    a.call.timeout = std::chrono::seconds(60);
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        if (!name.starts_with("--")) {
            a.files.emplace_back(name);
            continue;
        }
        if (++i == argc) return false;
        const int value = samples::parse_number(name, argv[i], 1, 1'000'000);
        if (name == "--workers")
            a.workers = static_cast<std::size_t>(value);
        else if (name == "--memory")
            a.call.memory = static_cast<std::uint64_t>(value) << 20;
        else if (name == "--seconds")
            a.call.timeout = std::chrono::seconds(value);
        else
            return false;
    }
    return !a.files.empty();
}

} // namespace

EDDY_REMOTE(count_words)

int main(int argc, char** argv) {
    arguments a;
    try {
        if (read_arguments(argc, argv, a)) return eddy::run_main(count_all(std::move(a)));
        std::fprintf(stderr, "usage: %s [--workers N] [--memory MEGABYTES] [--seconds S] FILE...\n", argv[0]);
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
    }
    return 2;
}
