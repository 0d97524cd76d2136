#include "page.hpp"

#include <libxml/HTMLparser.h>
#include <libxml/tree.h>

#include <algorithm>
#include <array>
#include <climits>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "charset.hpp"

namespace scraper {
namespace {

struct document_deleter {
    void operator()(xmlDoc* d) const noexcept { xmlFreeDoc(d); }
};
using document = std::unique_ptr<xmlDoc, document_deleter>;

std::string_view view(const xmlChar* text) {
    return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view();
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

std::optional<std::string> attribute(xmlNode* node, const char* name) {
    xmlChar* value = xmlGetNoNsProp(node, reinterpret_cast<const xmlChar*>(name));
    if (!value) return std::nullopt;
    std::string copy(view(value));
    xmlFree(value);
    return copy;
}

// "a b,c" has the words a, b and c.
bool has_word(std::string_view list, std::string_view word) {
    constexpr std::string_view separators = " \t\r\n\f,";
    while (!list.empty()) {
        const auto start = list.find_first_not_of(separators);
        if (start == std::string_view::npos) return false;
        list.remove_prefix(start);
        const auto end = list.find_first_of(separators);
        if (list.substr(0, end) == word) return true;
        list.remove_prefix(end == std::string_view::npos ? list.size() : end);
    }
    return false;
}

// Elements that may stand in the middle of a word.
bool is_inline(std::string_view element) {
    constexpr std::array<std::string_view, 20> names{"a",     "abbr", "acronym", "b",   "big",  "cite", "code",
                                                     "em",    "font", "i",       "kbd", "mark", "s",    "q",
                                                     "small", "span", "strong",  "sub", "sup",  "u"};
    return std::find(names.begin(), names.end(), element) != names.end();
}

// Walks over the tree and gathers what we want to know.
class reader {
public:
    explicit reader(url address) : base_(std::move(address)) {}

    page_content read(xmlNode* root) {
        walk(root);
        content_.title = collapse_white_space(title_);
        content_.text = count(text_);
        if (nofollow_)
            for (page_link& link : content_.links) link.nofollow = true;
        return std::move(content_);
    }

private:
    // Down to the first child, else on to the next sibling, else up. Not recursive: a page decides how deep it nests.
    void walk(xmlNode* root) {
        for (xmlNode* node = root; node;) {
            const bool descend = enter(node);
            if (descend && node->children) {
                node = node->children;
                continue;
            }
            while (node && node != root && !node->next) node = leave(node);
            node = node && node != root ? node->next : nullptr;
        }
    }

    // "<td>a</td><td>b</td>" is two words, "<b>a</b>b" is one.
    void separate(xmlNode* node) {
        if (!is_inline(view(node->name))) text_ += ' ';
    }

    xmlNode* leave(xmlNode* node) {
        if (node->parent) separate(node->parent);
        return node->parent;
    }

    // False if what is inside is not for readers.
    bool enter(xmlNode* node) {
        if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
            text_ += view(node->content);
            return false;
        }
        if (node->type != XML_ELEMENT_NODE) return false;
        separate(node);
        const std::string_view name = view(node->name);
        if (name == "script" || name == "style" || name == "template") return false;
        if (name == "title") return enter_title(node);
        if (name == "base") enter_base(node);
        if (name == "meta") enter_meta(node);
        if (name == "a" || name == "area") enter_link(node, "href");
        if (name == "frame" || name == "iframe") enter_link(node, "src");
        return true;
    }

    bool enter_title(xmlNode* node) {
        if (!std::exchange(has_title_, true)) {
            xmlChar* text = xmlNodeGetContent(node);
            title_ = view(text);
            xmlFree(text);
        }
        return false;
    }

    // The first <base> moves what all relative links start from.
    void enter_base(xmlNode* node) {
        const std::optional<std::string> href = attribute(node, "href");
        if (!href || std::exchange(has_base_, true)) return;
        if (std::optional<url> moved = resolve(base_, *href)) base_ = std::move(*moved);
    }

    void enter_meta(xmlNode* node) {
        if (lower(attribute(node, "name").value_or("")) != "robots") return;
        const std::string rules = lower(attribute(node, "content").value_or(""));
        if (has_word(rules, "nofollow") || has_word(rules, "none")) nofollow_ = true;
    }

    void enter_link(xmlNode* node, const char* where) {
        const std::optional<std::string> reference = attribute(node, where);
        if (!reference) return;
        std::optional<url> target = resolve(base_, *reference);
        if (!target || !seen_.insert(target->text).second) return;
        const bool nofollow = has_word(lower(attribute(node, "rel").value_or("")), "nofollow");
        content_.links.push_back(page_link{std::move(*target), nofollow});
    }

    url base_;
    page_content content_;
    std::string title_;
    std::string text_;
    std::set<std::string> seen_;
    bool has_title_ = false;
    bool has_base_ = false;
    bool nofollow_ = false;
};

} // namespace

page_content parse_page(const std::string& html, const std::string& content_type, const url& address) {
    static const bool initialised = (xmlInitParser(), true); // once, whichever worker comes first
    (void)initialised;
    // We decode ourselves and give libxml2 nothing but UTF-8: left to itself it stops at the first byte that does not
    // fit the charset it has guessed.
    decoded_text decoded = decode_html(html, content_type);
    const auto size = static_cast<int>(std::min<std::size_t>(decoded.text.size(), INT_MAX));
    constexpr int options = HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET;
    const document parsed(htmlReadMemory(decoded.text.data(), size, address.text.c_str(), "UTF-8", options));
    page_content content;
    if (xmlNode* root = parsed ? xmlDocGetRootElement(parsed.get()) : nullptr) content = reader(address).read(root);
    content.charset = std::move(decoded.charset);
    return content;
}

} // namespace scraper
