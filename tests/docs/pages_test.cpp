// The pages as text: links lead somewhere, and no public header is forgotten.
#include "snippet.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

namespace {

namespace fs = std::filesystem;
const fs::path top = EDDY_SOURCE_DIR;

std::string text_of(const fs::path& page) {
    std::ifstream in(page);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// The page without its code, where brackets are not links.
std::string prose_of(const fs::path& page) {
    std::ifstream in(page);
    std::string prose;
    bool in_block = false;
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("```"))
            in_block = !in_block;
        else if (!in_block)
            prose += line + "\n";
    }
    return std::regex_replace(prose, std::regex("`[^`]*`"), "code");
}

std::vector<fs::path> files_in(const fs::path& folder, std::string_view extension) {
    std::vector<fs::path> files;
    for (const fs::directory_entry& e : fs::recursive_directory_iterator(folder)) {
        if (e.path().extension() == extension) files.push_back(e.path());
    }
    return files;
}

} // namespace

TEST_CASE("every link of the documentation leads to a file") {
    std::vector<fs::path> pages = files_in(top / "docs", ".md");
    pages.push_back(top / "README.md");
    const std::regex link(R"(\]\(([^)#\s]+)(#[^)]*)?\))");
    for (const fs::path& page : pages) {
        const std::string prose = prose_of(page);
        for (std::sregex_iterator i(prose.begin(), prose.end(), link), end; i != end; ++i) {
            const std::string target = (*i)[1];
            if (target.starts_with("http")) continue;
            INFO(page.string() << " links to " << target);
            CHECK(fs::exists(page.parent_path() / target));
        }
    }
}

TEST_CASE("the reference names every public header") {
    const std::string reference = text_of(top / "docs/reference/README.md");
    for (const char* folder : {"coro/include", "runtime/include", "io/include", "io/http/include", "io/tls/include", "io/redis/include"}) {
        for (const fs::path& header : files_in(top / folder, ".hpp")) {
            const std::string path = fs::relative(header, top).string();
            if (path.find("/detail/") != std::string::npos) continue;
            INFO(path);
            CHECK(reference.find("](../../" + path + ")") != std::string::npos);
        }
    }
}
