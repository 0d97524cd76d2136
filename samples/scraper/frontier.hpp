// Which addresses are known, and how many links away they lie.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "url.hpp"

namespace scraper {

/// Hands out every address once. Pages are fetched side by side, so the first way that is found to a page need not be
/// the shortest one. With a depth limit that would make the result a matter of luck: the frontier remembers who links
/// to what, and when a shorter way to a page turns up, what lies behind that page comes nearer, too.
class frontier {
public:
    explicit frontier(int depth_limit) : limit_(depth_limit) {}

    struct found {
        url address;
        int depth;
    };
    /// A given address: depth 0. What is to be fetched now; nothing if it is known.
    [[nodiscard]] std::vector<found> start(const url& address);
    /// The page at `from` links to these; or, if it is a redirect, leads to them without being a step of its own.
    [[nodiscard]] std::vector<found> links(const url& from, std::vector<url> targets, bool redirect = false);

    /// Of a known address: links on the shortest way found so far.
    [[nodiscard]] int depth(const url& address) const { return nodes_.at(address.text).depth; }

private:
    struct node {
        int depth;
        int step = 1;
        std::vector<url> targets{}; // kept only if there is a limit
    };
    [[nodiscard]] std::vector<found> reach(std::vector<found> next);

    int limit_;
    std::unordered_map<std::string, node> nodes_;
};

} // namespace scraper
