// OpenSearch's analysis-nori plugin is published as a zip file alone, in no Maven repository. This is the same thin layer
// over Lucene's Korean morphology: the same names and the same settings, so index settings written for one work with the other.
package nugul;

import java.io.IOException;
import java.io.StringReader;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.ko.KoreanAnalyzer;
import org.apache.lucene.analysis.ko.KoreanNumberFilter;
import org.apache.lucene.analysis.ko.KoreanPartOfSpeechStopFilter;
import org.apache.lucene.analysis.ko.KoreanReadingFormFilter;
import org.apache.lucene.analysis.ko.KoreanTokenizer;
import org.apache.lucene.analysis.ko.POS;
import org.apache.lucene.analysis.ko.dict.UserDictionary;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.index.IndexSettings;
import org.opensearch.index.analysis.AbstractIndexAnalyzerProvider;
import org.opensearch.index.analysis.AbstractTokenFilterFactory;
import org.opensearch.index.analysis.AbstractTokenizerFactory;
import org.opensearch.index.analysis.Analysis;
import org.opensearch.index.analysis.AnalyzerProvider;
import org.opensearch.index.analysis.TokenFilterFactory;
import org.opensearch.index.analysis.TokenizerFactory;
import org.opensearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.opensearch.plugins.AnalysisPlugin;
import org.opensearch.plugins.Plugin;

/** Korean morphology for index settings. */
public final class NoriPlugin extends Plugin implements AnalysisPlugin {
    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Map.of("nori_tokenizer", NoriTokenizer::new);
    }

    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        return Map.of(
            "nori_part_of_speech", PartOfSpeech::new,
            "nori_readingform", ReadingForm::new,
            "nori_number", Number::new);
    }

    @Override
    public Map<String, AnalysisProvider<AnalyzerProvider<? extends Analyzer>>> getAnalyzers() {
        return Map.of("nori", NoriAnalyzer::new);
    }

    private static UserDictionary userDictionary(Environment environment, Settings settings) {
        // From the file `user_dictionary` or the list `user_dictionary_rules`.
        List<String> lines = Analysis.parseWordList(
            environment, settings, "user_dictionary", "user_dictionary_rules", line -> line);
        if (lines == null || lines.isEmpty()) {
            return null;
        }
        try {
            return UserDictionary.open(new StringReader(String.join("\n", lines)));
        } catch (IOException e) {
            throw new IllegalArgumentException("the user dictionary cannot be read", e);
        }
    }

    private static KoreanTokenizer.DecompoundMode decompoundMode(Settings settings) {
        String mode = settings.get("decompound_mode");
        return mode == null
            ? KoreanTokenizer.DEFAULT_DECOMPOUND
            : KoreanTokenizer.DecompoundMode.valueOf(mode.toUpperCase(Locale.ENGLISH));
    }

    private static Set<POS.Tag> stopTags(Settings settings) {
        List<String> tags = settings.getAsList("stoptags", null);
        return tags == null
            ? KoreanPartOfSpeechStopFilter.DEFAULT_STOP_TAGS
            : tags.stream().map(POS::resolveTag).collect(Collectors.toSet());
    }

    private static final class NoriTokenizer extends AbstractTokenizerFactory {
        private final UserDictionary dictionary;
        private final KoreanTokenizer.DecompoundMode mode;
        private final boolean discardPunctuation;

        NoriTokenizer(IndexSettings index, Environment environment, String name, Settings settings) {
            super(index, settings, name);
            dictionary = userDictionary(environment, settings);
            mode = decompoundMode(settings);
            discardPunctuation = settings.getAsBoolean("discard_punctuation", true);
        }

        @Override
        public Tokenizer create() {
            return new KoreanTokenizer(
                KoreanTokenizer.DEFAULT_TOKEN_ATTRIBUTE_FACTORY, dictionary, mode, false, discardPunctuation);
        }
    }

    private static final class PartOfSpeech extends AbstractTokenFilterFactory {
        private final Set<POS.Tag> tags;

        PartOfSpeech(IndexSettings index, Environment environment, String name, Settings settings) {
            super(index, name, settings);
            tags = stopTags(settings);
        }

        @Override
        public TokenStream create(TokenStream stream) {
            return new KoreanPartOfSpeechStopFilter(stream, tags);
        }
    }

    private static final class ReadingForm extends AbstractTokenFilterFactory {
        ReadingForm(IndexSettings index, Environment environment, String name, Settings settings) {
            super(index, name, settings);
        }

        @Override
        public TokenStream create(TokenStream stream) {
            return new KoreanReadingFormFilter(stream);
        }
    }

    private static final class Number extends AbstractTokenFilterFactory {
        Number(IndexSettings index, Environment environment, String name, Settings settings) {
            super(index, name, settings);
        }

        @Override
        public TokenStream create(TokenStream stream) {
            return new KoreanNumberFilter(stream);
        }
    }

    private static final class NoriAnalyzer extends AbstractIndexAnalyzerProvider<KoreanAnalyzer> {
        private final KoreanAnalyzer analyzer;

        NoriAnalyzer(IndexSettings index, Environment environment, String name, Settings settings) {
            super(index, name, settings);
            analyzer = new KoreanAnalyzer(
                userDictionary(environment, settings), decompoundMode(settings), stopTags(settings), false);
        }

        @Override
        public KoreanAnalyzer get() {
            return analyzer;
        }
    }
}
