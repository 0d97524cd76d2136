// robots.txt: what a site asks crawlers to leave alone (RFC 9309).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace scraper {

/// The rules that one robots.txt has for one crawler.
class robots_rules {
public:
    /// No rules: everything is allowed.
    robots_rules() = default;

    /// Reads a robots.txt: the groups for `agent` (compared without case), or those for `*` if it has none. Lines it
    /// cannot read are skipped, and what exceeds 500 KiB is not looked at, as the RFC has it. Never fails.
    [[nodiscard]] static robots_rules parse(std::string_view text, std::string_view agent);

    /// May `target` (path and query) be fetched? The longest rule that matches decides; of equally long ones, the
    /// allowing one. `*` in a rule stands for anything, `$` at its end for the end of the target.
    [[nodiscard]] bool allows(std::string_view target) const;

private:
    struct rule {
        std::string pattern;
        bool allow;
    };
    std::vector<rule> rules_;
};

} // namespace scraper
