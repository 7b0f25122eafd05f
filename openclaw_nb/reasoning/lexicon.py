"""Words by which a task shows what it asks for, in English, German, Spanish, French and Chinese.

``^word`` counts only where a request can begin and ``?word`` where a question can, ``word*`` stands for all that begin
so, and ``two_words`` follow each other. Words of Chinese count wherever they stand.
"""

from __future__ import annotations

__all__ = [
    "ASKING",
    "ASKS",
    "COUNTED",
    "DOUBTS",
    "GREETINGS",
    "LANGUAGES",
    "NUMBERS",
    "POLITE",
    "REQUESTS",
    "SECOND_PERSON",
    "STARTERS",
    "SYSTEMS",
    "TOPICS",
    "UNITS",
]

ASKS = {
    "proof": """^prove ^disprove prove_that prove_or show_that ^verify_formally formally_verify with_proof a_proof
        the_proof and_proof counterexample* prove_the prove_its argue_its beweis* zeige_dass zeigen_sie_dass widerleg*
        demuestra demuestre demostrar prueba_que refuta démontre* démontrer prouve prouver prouvez réfute 證明 证明
        反例 正確性 正确性""",
    "derivation": """^derive derive_the ^deduce derivation closed_form ^characterise ^characterize leite_her
        herleit* leite_die leite_den deriva deduce_la dérive dériver déduis derivar 推導 推导 導出 导出""",
    "design": """^design ^architect ^devise ^invent ^develop ^formulate ^build ^engineer ^conceive ^model design_a
        design_an design_the entwirf entwerf* entwickle konzipier* diseña diseñe diseñar desarrolla construye inventa
        conçois concevez concevoir développe construis 設計 设计 開發 开发 構建 构建 發明 发明""",
    "implementation": """^implement ^code ^program ^refactor ^migrate ^vectorise ^vectorize ^port ^parallelise
        ^simulate ^automate implementier* programmier* implementa implementar programa_un implémente programme_un 實現
        实现 實作 重構 重构""",
    "comparison": """^compare ^contrast ^weigh ^rank and_compare versus vs trade-off trade-offs tradeoff tradeoffs
        trade_offs pros_and_cons advantages_and which_is_better for_and_against both_sides reconcile ^balance
        balancing vergleich* gegenüberstell* compara comparar compárala ventajas_e comparez comparer avantages_et
        comparez-la 比較 比较 優缺點 优缺点 取捨 取舍 利弊 權衡 权衡""",
    "analysis": """^analyse ^analyze ^assess evaluate_whether evaluate_how evaluate_our ^critique ^critically
        ^interpret ^investigate ^discuss ^argue ^diagnose ^examine ^review ^justify ^defend ^criticise ^criticize
        ^reason ^identify ^test_whether ^detect root_cause implications_of threats_to what_evidence analysier*
        untersuch* beurteil* bewert* diskutier* interpretier* begründ* analiza analizar evalúa discute justifica
        interpreta argumenta analysez évalue évaluez justifie interprète argumente examine 分析 論證 论证 評估 评估
        討論 讨论 探討 探讨 歸因 推理""",
    "debugging": """^debug ^troubleshoot ^diagnose bug bugs traceback crash* deadlock* leak leaks memory_leak
        diverge diverges bottleneck* find_the_cause root_cause fails fail_only and_fix ^fix out_of_memory
        does_not_converge overflow returns_none slow_under fehlersuche fehler_in abstürz* divergier* depura corrige_el
        fallo el_error débogue bogue plante 調試 调试 除錯 錯誤 错误 修正 瓶頸 瓶颈 洩漏 泄漏 崩潰 崩溃""",
    "why": """why how_come for_what_reason warum weshalb wieso por_qué porqué pourquoi 為什麼 为什么 為何 为何 原因""",
    "explanation": """^explain ^describe ^outline ^illustrate ^teach and_explain how_does how_do how_it_works
        tell_me_about tell_us_about difference_between differences_between what_are_the how_would ^interpret erklär*
        beschreib* erläuter* explica explique explicar describe_la describa cómo_funciona décris décrivez expliquez
        expliquer comment_fonctionne wie_funktioniert 解釋 解释 說明 说明 描述 介紹 介绍 原理""",
    "summary": """^summarise ^summarize summary overview fasse zusammenfass* resume resumen résume résumé résumez
        總結 总结 摘要 概述""",
    "writing": """^write ^draft ^compose ^rewrite ^proofread ^shorten ^paraphrase tell_a_story schreib* verfass*
        formulier* escribe redacta écris écrivez rédige rédigez 寫 写""",
    "planning": """^plan ^schedule ^organise ^organize ^negotiate roadmap curriculum timetable strategy milestones
        project_plan a_budget lehrplan zeitplan planifica plan_de planifie organise 計劃 计划 計畫 制定 規劃 规划""",
    "optimisation": """^optimise ^optimize ^minimise ^minimize ^maximise ^maximize minimum_value maximum_value
        smallest_possible largest_possible least_possible greatest_possible optimality optimier* minimier* maximier*
        optimiza minimiza maximiza optimise minimise maximise 優化 优化 最小化 最大化 最優 最优""",
    "application": """applications use_cases anwendungen aplicaciones 應用 应用""",
    "recommendation": """^recommend ^suggest ^propose ^choose ^advise and_recommend should_i should_we
        which_of_them schlage empfiehl empfehl* propón propon recomienda propose recommande proposez 建議 建议 推薦
        推荐 提出""",
    "counting": """how_many_ways number_of_ways in_how_many ordered_pairs ordered_triples ordered_pair permutation*
        combination* probability expected_value at_random randomly wahrscheinlichkeit probabilidad probabilité 概率
        機率 几种 幾種""",
    "translation": """translat* how_do_you_say how_do_i_say how_to_say do_you_say would_i_say word_for übersetz*
        auf_englisch ins_englische auf_deutsch traduc* traduce se_dice en_inglés tradui* en_anglais en_espagnol 翻譯
        翻译 怎麼說 怎么说 英文 英语怎""",
    "conversion": """^convert conversion exchange_rate currency rechne umrechn* convierte convertir convertis 換算
        换算 匯率 汇率""",
    "arithmetic": """^calculate ^compute ^divide ^multiply ^subtract ^add plus minus times divided multiplied
        squared square_root cube_root percent_of added_to prozent_von wie_viel_ist cuánto_es por_ciento_de
        combien_font divisé multiplié 乘以 除以 減去 减去 加上 等於多少 等于多少""",
    "edit": """^reverse ^spell ^repeat ^capitalise ^rename ^count alphabetical* alphabetically upper_case
        lower_case in_bold ^say ^greet ^print ^shorten a_bulleted_list buchstabier* wiederhole deletrea repite épelle
        répète 拼寫 重複 重复""",
    "definition": """^define definition what_does stand_for stands_for does_mean mean_in meaning_of the_meaning
        word_mean is_called called_again was_heißt was_ist bedeutet qué_es significa que_veut veut_dire qu'est-ce
        是什麼 是什么 什麼是 什么是 意思 叫什麼 叫什么""",
    "fact": """?who ?whose ?whom ?when ?where ?which ?what_is_the ?whats ?what's_the in_which_year what_year
        what_day what_date what_time what_colour what_color name_of the_name capital_of how_old how_tall how_far
        what_is_the_name population_of ?wer ?wann ?wo wie_heißt hauptstadt ?quién ?cuándo ?dónde ?cuál ?qui ?quand ?où
        ?quelle ?quel 哪里 哪裡 哪一 誰 谁 幾點 几点 首都 星期几 星期幾 哪年 什麼時候 什么时候 什么颜色""",
}
"""What a task may ask for."""

SYSTEMS = """compiler* interpreter operating_system distributed consensus raft paxos lock-free fault-tolerant
    byzantine sharded sharding concurrent concurrency type_checker type_inference garbage_collector garbage_collection
    storage_engine database_engine sql_database scheduler scalable replication exactly-once microservices
    vector_database architecture high-availability microkernel virtual_machine blockchain parser fault_tolerance
    crash_recovery betriebssystem verteilt* compilador* distribuid* compilateur* distribué* ordonnanceur 編譯器 编译器
    分布式 分散式 高并发 高併發 作業系統 操作系统 架構 架构 一致性 解釋器 虛擬機 虚拟机"""
"""What is big to design or to build, though it is small to name."""

SECOND_PERSON = "you your you're youre yourself u du dir dich tú te tu toi vous 你 您"

DOUBTS = "prove_you prove_you're prove_your prove_that_you prove_that_you're prove_to_me_that_you prove_to_me_you"
"""What asks for no proof, though it says so."""

COUNTED = {
    "conditions": """if when whenever suppose given assuming assume unless until provided while although though
        where otherwise but wenn falls obwohl aber si cuando aunque pero quand lorsque mais
        如果 若 當 当 假設 假设 但""",
    "constraints": """must without such_that exactly at_least at_most no_more only cannot never within subject_to
        limited not_allowed required so_that under_load no_downtime has_to need_to muss müssen ohne mindestens
        höchstens debe deben sin al_menos doit doivent sans au_moins 必須 必须 不能 不得 至少 至多 限制 要求 支持""",
    "relations": """each every per half twice double doubled triple thrice third thirds quarter fifth tenth as_many
        as_much as_old as_far more_than less_than fewer_than older younger cheaper longer than percent equally split
        shared ratio jede jeder je halb doppelt cada mitad doble chaque moitié 每 一半 倍 平均""",
    "operations": """left remaining rest remainder total altogether combined together difference average sum
        discount profit tip tax increase increased decrease decreased change spends spent gives gave sells sold buys
        bought loses lost eats ate pays paid earns earned saves saved uses used adds added übrig insgesamt queda
        quedan reste 剩 一共 總共 总共""",
    "quantity": """how_many how_much wie_viele wie_viel cuántos cuántas cuánto cuánta combien 多少 幾 几""",
    "steps": """then next afterwards finally first firstly secondly lastly step phases subsequently before after
        dann danach schließlich zuerst luego después finalmente primero puis ensuite enfin abord 然後 然后 接著 接着
        最後 最后 首先 並 并""",
    "depth": """think_hard think_carefully step_by_step in_depth in_detail detailed thorough* carefully rigorous*
        comprehensive exhaustive critically justify_each prove_each ausführlich gründlich schritt_für_schritt
        detalladamente paso_a_paso en_detalle en_détail étape_par_étape rigoureusement 詳細 详细 深入 一步一步 仔細
        仔细 逐步 嚴格 严格""",
    "brevity": """brief briefly shortly quickly one_sentence single_sentence few_words just_the only_the one_word
        concise concisely no_explanation plain_words roughly kurz knapp brevemente solo_el brièvement juste 簡短 简短
        一句话 一句話 簡單 简单 只要""",
    "abstract maths": """all_real real_numbers positive_integers positive_integer for_all find_all all_possible
        possible_values ordered_pairs such_that minimum_value maximum_value sum_of_all relatively_prime infinite
        infinitely in_terms inscribed circumscribed tangent orthocenter circumcircle incircle circumcenter polynomial*
        roots distinct complex divisible irrational continuous differentiable converge* diverges bounded theorem lemma
        induction asymptotic* matrix eigen* subgroup* invariant estimator likelihood stochastic integral convex
        manifold isomorph* measurable unique unendlich* primzahl* stetig* infinitos primos irracional infinité
        irrationnel 質數 质数 無理 无理 收斂 收敛 連續 连续 定理 漸近 渐近""",
}
"""What is counted: more of it is more to keep in mind."""

TOPICS = {
    "maths": """integer* number triangle* circle* angle* radius perpendicular parallel probability function* prime
        divisor* multiple remainder root matrix vector* sequence series arithmetic geometric equation* inequality
        plane sphere cube cone hexagon polygon factor* logarithm cosine sine degree quadratic coefficient* hypotenuse
        graph polynomial* theorem algebra geometry calculus gleichung zahl ecuación équation nombre 方程 數學 数学
        函數 函数 三角""",
    "programming": """python code script function class loop variable list dictionary array string regex api server
        database sql query git test tests bug compiler rust java javascript c++ thread async asyncio algorithm*
        recursion recursive pointer library package module notebook jupyter software html app queue cache parser
        postgres programm skript código programa fonction 程式 程序 代码 算法 演算法 函式
        編譯器 编译器 数据库 資料庫""",
    "data": """data dataset dataframe csv pandas polars column* row* table plot chart mean median variance
        regression model models statistic* sample hypothesis p-value correlation cluster* classif* predict* forecast*
        bayesian missing outlier* neural training accuracy validation experiment a/b conversion metric* daten
        statistik datos estadística données statistique 資料 数据 數據 統計 统计 模型 回歸 回归 神经网络 實驗 实验""",
    "science": """quantum physics chemistry biology cell* gene* dna protein* energy force light evolution climate
        vaccine* immune molecule* atom* relativity photosynthesis planet* entropy thermal electron* chemical quanten*
        physik biologie física química physique chimie 量子 物理 化學 化学 生物 光合""",
    "humanities": """history war revolution philosophy ethic* moral* kant novel poem literature law political
        politics society culture religion economy economic* inflation government treaty roman empire geschichte krieg
        historia guerra histoire guerre 歷史 历史 哲學 哲学 文學 文学 經濟 经济""",
    "teaching": """lesson* course* student* pupil* teacher* class exam* curriculum homework quiz exercise* lecture*
        school classroom marking kurs schüler* vorlesung* curso alumnos cours élèves 課程 课程 學生 学生 教學 教学""",
    "planning": """plan budget schedule project cost* risk* customer* market* company team meeting trip travel
        wedding sales revenue product* manager* strategy umsatz* kosten ventas empresa ventes entreprise 銷售 销售
        客戶 客户 成本 風險""",
    "life": """weather food recipe movie film song actor actress sings sang season episode football team player*
        game birthday holiday family friend* dog cat music band album book show tv wetter familie película comida
        chanson famille 天气 天氣 电影 電影 音樂 音乐""",
}
"""What a task may be about."""

REQUESTS = """give list sort extract remove format make state report choose propose suggest recommend include
    provide draw generate check create show define sketch estimate answer lay address work correct clean join fit plot
    use explain describe compare write design analyse analyze discuss prove derive implement summarise nenne gib
    erstelle zeige zeichne da haz donne fais 給出 给出 列出 舉出 举出 提出 找出 包括"""
"""Verbs with which a request can begin, besides those of `ASKS`."""

GREETINGS = """hi hello hey thanks thank bye goodbye welcome morning evening cheers hallo danke tschüss guten hola
    gracias adiós buenos bonjour merci salut bonsoir 你好 您好 謝謝 谢谢 再見 再见 早安 晚安 哈囉"""

POLITE = """please kindly thanks thank dear sorry hi hello hey bitte danke hallo gracias hola favor merci bonjour
    s'il plaît svp s'il-vous-plaît"""

STARTERS = """and then please to you me us also or now first next finally let's lets und dann bitte y e luego favor
    et puis plaît just so"""
"""Words after which a request can begin."""

ASKING = "me us know please wondering wonder ask asking you"
"""Words after which a question can begin."""

NUMBERS = """two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred thousand
    million dozen zwei drei vier fünf sechs sieben acht neun zehn zwölf dos tres cuatro cinco seis siete ocho nueve
    diez deux trois quatre cinq sept huit neuf dix"""

UNITS = """km kilometer* kilometre* mile* meter* metre* feet foot inch* yard* cm centimeter* mm pound* ounce* oz kg
    gram* kilo* ton tons cup* pint* quart* gallon* liter* litre* ml teaspoon* tablespoon* celsius fahrenheit degrees
    kelvin dollar* euro* yen peso* rupee* krona franc* usd eur gbp minute* hour* second seconds week* day days year*
    gb tb mb unzen gramm euros dólares 公里 英里 公斤 美元"""

LANGUAGES = """english french german spanish italian portuguese russian chinese japanese korean dutch polish latin
    greek arabic hindi swedish finnish norwegian danish turkish hebrew mongolian thai vietnamese czech hungarian
    ukrainian mandarin swahili hawaiian icelandic irish"""
