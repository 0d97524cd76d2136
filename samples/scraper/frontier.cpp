#include "frontier.hpp"

#include <limits>
#include <utility>

namespace scraper {

std::vector<frontier::found> frontier::start(const url& address) {
    std::vector<found> next;
    next.push_back(found{address, 0});
    return reach(std::move(next));
}

std::vector<frontier::found> frontier::links(const url& from, std::vector<url> targets, bool redirect) {
    node& n = nodes_.at(from.text);
    n.step = redirect ? 0 : 1;
    std::vector<found> next;
    for (const url& target : targets) next.push_back(found{target, n.depth + n.step});
    if (limit_ != std::numeric_limits<int>::max()) n.targets = std::move(targets);
    return reach(std::move(next));
}

// `next` are addresses with the length of a way to them. Not recursive: a chain of pages can be long.
std::vector<frontier::found> frontier::reach(std::vector<found> next) {
    std::vector<found> fresh;
    for (std::size_t i = 0; i < next.size(); ++i) { // it grows while we go
        const found f = next[i];
        if (f.depth > limit_) continue;
        const auto [at, is_new] = nodes_.try_emplace(f.address.text, node{.depth = f.depth});
        node& n = at->second;
        if (is_new) {
            fresh.push_back(f);
        } else if (f.depth < n.depth) {
            n.depth = f.depth;
            for (const url& target : n.targets) next.push_back(found{target, n.depth + n.step});
        }
    }
    return fresh;
}

} // namespace scraper
